#define _GNU_SOURCE
#include "shim.h"

#include <rte_cycles.h>
#include <stdio.h>
#include <string.h>

uint16_t shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	return rte_eth_rx_burst(port, queue, mbufs, n);
}

uint16_t shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	return rte_eth_tx_burst(port, queue, mbufs, n);
}

int shim_rx_queue_count(uint16_t port, uint16_t queue)
{
	return rte_eth_rx_queue_count(port, queue);
}

struct rte_mbuf *shim_mbuf_alloc(struct rte_mempool *pool)
{
	return rte_pktmbuf_alloc(pool);
}

int shim_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int n)
{
	return rte_pktmbuf_alloc_bulk(pool, mbufs, n);
}

void shim_mbuf_free(struct rte_mbuf *mbuf)
{
	rte_pktmbuf_free(mbuf);
}

int shim_mbuf_chain(struct rte_mbuf *head, struct rte_mbuf *tail)
{
	return rte_pktmbuf_chain(head, tail);
}

int shim_errno(void)
{
	return rte_errno;
}

uint32_t shim_lcore_id(void)
{
	return rte_lcore_id();
}

void shim_lcore_forget(void)
{
	RTE_PER_LCORE(_lcore_id) = LCORE_ID_ANY;
}

uint64_t shim_tsc_hz(void)
{
	return rte_get_tsc_hz();
}

uint32_t shim_meter_srtcm(struct rte_meter_srtcm *meter, struct rte_meter_srtcm_profile *profile,
			  uint64_t time, uint32_t count, uint32_t colour)
{
	return rte_meter_srtcm_color_aware_check(meter, profile, time, count, (enum rte_color)colour);
}

uint32_t shim_meter_trtcm(struct rte_meter_trtcm *meter, struct rte_meter_trtcm_profile *profile,
			  uint64_t time, uint32_t count, uint32_t colour)
{
	return rte_meter_trtcm_color_aware_check(meter, profile, time, count, (enum rte_color)colour);
}

uint32_t shim_meter_trtcm_rfc4115(struct rte_meter_trtcm_rfc4115 *meter,
				  struct rte_meter_trtcm_rfc4115_profile *profile, uint64_t time,
				  uint32_t count, uint32_t colour)
{
	return rte_meter_trtcm_rfc4115_color_aware_check(meter, profile, time, count,
							 (enum rte_color)colour);
}

int shim_link_get(uint16_t port, struct shim_link *link)
{
	struct rte_eth_link raw;
	int ret;

	memset(&raw, 0, sizeof(raw));
	ret = rte_eth_link_get_nowait(port, &raw);
	link->mbps = raw.link_speed;
	link->full_duplex = raw.link_duplex;
	link->autoneg = raw.link_autoneg;
	link->up = raw.link_status;
	return ret;
}

int shim_port_configure(uint16_t port, const struct shim_port_conf *conf)
{
	struct rte_eth_conf raw;

	memset(&raw, 0, sizeof(raw));
	raw.rxmode.mq_mode = (enum rte_eth_rx_mq_mode)conf->mq_mode;
	raw.rxmode.mtu = conf->mtu;
	raw.rxmode.offloads = conf->rx_offloads;
	raw.txmode.offloads = conf->tx_offloads;
	raw.rx_adv_conf.rss_conf.rss_hf = conf->rss_types;
	raw.intr_conf.lsc = conf->link_interrupt != 0;
	raw.intr_conf.rmv = conf->removal_interrupt != 0;
	raw.intr_conf.rxq = conf->rx_interrupts != 0;
	return rte_eth_dev_configure(port, conf->rx_queues, conf->tx_queues, &raw);
}

int shim_rx_queue_setup(uint16_t port, uint16_t queue, uint16_t descriptors, unsigned int socket,
			uint8_t drop_en, uint64_t offloads, struct rte_mempool *pool)
{
	struct rte_eth_dev_info info;
	int ret = rte_eth_dev_info_get(port, &info);

	if (ret != 0)
		return ret;
	info.default_rxconf.rx_drop_en |= drop_en;
	info.default_rxconf.offloads = offloads;
	return rte_eth_rx_queue_setup(port, queue, descriptors, socket, &info.default_rxconf, pool);
}

int shim_tx_queue_setup(uint16_t port, uint16_t queue, uint16_t descriptors, unsigned int socket,
			uint64_t offloads)
{
	struct rte_eth_dev_info info;
	int ret = rte_eth_dev_info_get(port, &info);

	if (ret != 0)
		return ret;
	info.default_txconf.offloads = offloads;
	return rte_eth_tx_queue_setup(port, queue, descriptors, socket, &info.default_txconf);
}

int shim_ports_matching(const char *devargs, uint16_t *ports, unsigned int max)
{
	struct rte_dev_iterator it;
	unsigned int n = 0;
	uint16_t port;
	int ret = rte_eth_iterator_init(&it, devargs);

	if (ret != 0)
		return ret;
	for (port = rte_eth_iterator_next(&it); port != RTE_MAX_ETHPORTS; port = rte_eth_iterator_next(&it)) {
		if (n < max)
			ports[n] = port;
		n++;
	}
	/* The iterator cleaned itself up with the last port. */
	return (int)(n < max ? n : max);
}

int shim_vhost_ring_get(int vid, uint16_t index, struct shim_vhost_ring *ring)
{
	struct rte_vhost_vring raw;
	uint16_t used;

	memset(&raw, 0, sizeof(raw));
	if (rte_vhost_get_vhost_vring(vid, index, &raw) != 0 ||
	    rte_vhost_get_vring_base(vid, index, &ring->position, &used) != 0)
		return -1;
	ring->descriptors = (uintptr_t)raw.desc;
	ring->available = (uintptr_t)raw.avail;
	ring->size = raw.size;
	ring->call = raw.callfd;
	return 0;
}

static void (*log_write)(uint32_t level, const char *text, size_t len);

static ssize_t log_cookie_write(void *cookie, const char *text, size_t len)
{
	size_t used = len;

	(void)cookie;
	while (used > 0 && (text[used - 1] == '\n' || text[used - 1] == '\0'))
		used--;
	if (used > 0)
		log_write((uint32_t)rte_log_cur_msg_loglevel(), text, used);
	return (ssize_t)len;
}

int shim_log_to(void (*write)(uint32_t level, const char *text, size_t len))
{
	static const cookie_io_functions_t functions = {.write = log_cookie_write};
	FILE *stream = fopencookie(NULL, "w", functions);

	if (stream == NULL)
		return -1;
	setvbuf(stream, NULL, _IOLBF, 512);
	log_write = write;
	return rte_openlog_stream(stream);
}

char *shim_dump(uint32_t what)
{
	char *text = NULL;
	size_t len = 0;
	FILE *stream = open_memstream(&text, &len);

	if (stream == NULL)
		return NULL;
	if (what == SHIM_DUMP_MEMPOOL)
		rte_mempool_list_dump(stream);
	else if (what == SHIM_DUMP_MEMZONE)
		rte_memzone_dump(stream);
	else
		rte_dump_physmem_layout(stream);
	fclose(stream);
	return text;
}
