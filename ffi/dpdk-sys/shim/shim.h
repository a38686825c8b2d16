/* What bindgen can't carry over: inline functions, 64-bit macros, per-thread variables, and whatever
 * moved between DPDK 22.11 and 24.11. Everything here starts with shim_ or SHIM_. */
#ifndef POLLUX_SHIM_H
#define POLLUX_SHIM_H

#include <stddef.h>
#include <stdint.h>

#include <pcap/pcap.h>
#include <rte_acl.h>
#include <rte_bpf.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_epoll.h>
#include <rte_interrupts.h>
#include <rte_errno.h>
#include <rte_eth_vhost.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_meter.h>
#include <rte_version.h>
#include <rte_vhost.h>

/* The release the headers are of. */
enum {
	SHIM_BUILD_YEAR = RTE_VER_YEAR,
	SHIM_BUILD_MONTH = RTE_VER_MONTH,
	SHIM_BUILD_MINOR = RTE_VER_MINOR,
};

/* Where the fields of an mbuf lie. The structure itself stays opaque to Rust: 23.11 made refcnt a C11
 * atomic, and 24.07 replaced the markers by anonymous unions, which would move every field's path. */
enum {
	SHIM_MBUF_SIZE = sizeof(struct rte_mbuf),
	SHIM_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),
	SHIM_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),
	SHIM_MBUF_REFCNT = offsetof(struct rte_mbuf, refcnt),
	SHIM_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),
	SHIM_MBUF_PORT = offsetof(struct rte_mbuf, port),
	SHIM_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags),
	SHIM_MBUF_PACKET_TYPE = offsetof(struct rte_mbuf, packet_type),
	SHIM_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),
	SHIM_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),
	SHIM_MBUF_RSS = offsetof(struct rte_mbuf, hash.rss),
	SHIM_MBUF_CLASS = offsetof(struct rte_mbuf, hash.sched.traffic_class),
	SHIM_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),
	SHIM_MBUF_POOL = offsetof(struct rte_mbuf, pool),
	SHIM_MBUF_NEXT = offsetof(struct rte_mbuf, next),
	SHIM_MBUF_TX_OFFLOAD = offsetof(struct rte_mbuf, tx_offload),
	/* Octets kept free in front of a received frame, and what a frame of one segment takes beside it. */
	SHIM_HEADROOM = RTE_PKTMBUF_HEADROOM,
	/* Where the lengths and the payload of each segment lie within tx_offload. */
	SHIM_MBUF_L2_LEN_SHIFT = RTE_MBUF_L2_LEN_OFS,
	SHIM_MBUF_L3_LEN_SHIFT = RTE_MBUF_L3_LEN_OFS,
	SHIM_MBUF_L4_LEN_SHIFT = RTE_MBUF_L4_LEN_OFS,
	SHIM_MBUF_SEGMENT_LEN_SHIFT = RTE_MBUF_TSO_SEGSZ_OFS,
};

/* Limits. */
enum {
	SHIM_MAX_PORTS = RTE_MAX_ETHPORTS,
	SHIM_MAX_QUEUES = RTE_MAX_QUEUES_PER_PORT,
	SHIM_MEMPOOL_CACHE_MAX = RTE_MEMPOOL_CACHE_MAX_SIZE,
	SHIM_MEMPOOL_NAME_MAX = RTE_MEMPOOL_NAMESIZE,
	SHIM_MEMPOOL_CACHE_SIZE = sizeof(struct rte_mempool_cache),
	SHIM_MAX_LCORES = RTE_MAX_LCORE,
};

/* Rules of an ACL: octets of one without fields, and of a field; what the two values of a field say. */
enum {
	SHIM_ACL_NAME_MAX = RTE_ACL_NAMESIZE,
	SHIM_ACL_RULE_HEAD = RTE_ACL_RULE_SZ(0),
	SHIM_ACL_RULE_FIELD = RTE_ACL_RULE_SZ(1) - RTE_ACL_RULE_SZ(0),
	SHIM_ACL_RANGE = RTE_ACL_FIELD_TYPE_RANGE,
	SHIM_ACL_BITS = RTE_ACL_FIELD_TYPE_BITMASK,
};

/* Filters are of Ethernet frames, and see all of one. */
enum {
	SHIM_FILTER_LINK = DLT_EN10MB,
	SHIM_FILTER_SNAP = 262144,
	SHIM_BPF_LOAD_WORD_AT = BPF_LD | BPF_IND | BPF_W,
	SHIM_BPF_LOAD_OCTET_AT = BPF_LD | BPF_IND | BPF_B,
	SHIM_BPF_JUMP_IF_SET = BPF_JMP | BPF_JSET | BPF_K,
	SHIM_BPF_A = EBPF_REG_0,
	SHIM_BPF_X = EBPF_REG_7,
};
static const uint32_t SHIM_FILTER_NO_NETMASK = PCAP_NETMASK_UNKNOWN;

/* What meters answer. */
enum {
	SHIM_COLOUR_GREEN = RTE_COLOR_GREEN,
	SHIM_COLOUR_YELLOW = RTE_COLOR_YELLOW,
	SHIM_COLOUR_RED = RTE_COLOR_RED,
};

static const uint64_t SHIM_MBUF_INDIRECT = RTE_MBUF_F_INDIRECT;
static const uint64_t SHIM_MBUF_EXTERNAL = RTE_MBUF_F_EXTERNAL;
static const uint64_t SHIM_MBUF_RX_CHECKSUM_MASK = RTE_MBUF_F_RX_L4_CKSUM_MASK;
static const uint64_t SHIM_MBUF_RX_CHECKSUM_NONE = RTE_MBUF_F_RX_L4_CKSUM_NONE;
static const uint64_t SHIM_MBUF_RX_LRO = RTE_MBUF_F_RX_LRO;
static const uint64_t SHIM_MBUF_TX_OFFLOAD_MASK = RTE_MBUF_F_TX_OFFLOAD_MASK;
static const uint64_t SHIM_MBUF_TX_IPV4 = RTE_MBUF_F_TX_IPV4;
static const uint64_t SHIM_MBUF_TX_IPV6 = RTE_MBUF_F_TX_IPV6;
static const uint64_t SHIM_MBUF_TX_TCP_CHECKSUM = RTE_MBUF_F_TX_TCP_CKSUM;
static const uint64_t SHIM_MBUF_TX_UDP_CHECKSUM = RTE_MBUF_F_TX_UDP_CKSUM;
static const uint64_t SHIM_MBUF_TX_TCP_SEGMENTS = RTE_MBUF_F_TX_TCP_SEG;
static const uint64_t SHIM_MBUF_RX_RSS_HASH = RTE_MBUF_F_RX_RSS_HASH;

static const uint64_t SHIM_RX_OFFLOAD_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t SHIM_RX_OFFLOAD_RSS_HASH = RTE_ETH_RX_OFFLOAD_RSS_HASH;
static const uint64_t SHIM_RX_OFFLOAD_VLAN_STRIP = RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
static const uint64_t SHIM_RX_OFFLOAD_VLAN_FILTER = RTE_ETH_RX_OFFLOAD_VLAN_FILTER;
static const uint64_t SHIM_RX_OFFLOAD_IPV4_CKSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
static const uint64_t SHIM_RX_OFFLOAD_UDP_CKSUM = RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
static const uint64_t SHIM_RX_OFFLOAD_TCP_CKSUM = RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
static const uint64_t SHIM_RX_OFFLOAD_TCP_LRO = RTE_ETH_RX_OFFLOAD_TCP_LRO;
static const uint64_t SHIM_TX_OFFLOAD_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const uint64_t SHIM_TX_OFFLOAD_MBUF_FAST_FREE = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
static const uint64_t SHIM_TX_OFFLOAD_VLAN_INSERT = RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
static const uint64_t SHIM_TX_OFFLOAD_IPV4_CKSUM = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
static const uint64_t SHIM_TX_OFFLOAD_UDP_CKSUM = RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
static const uint64_t SHIM_TX_OFFLOAD_TCP_CKSUM = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
static const uint64_t SHIM_TX_OFFLOAD_TCP_TSO = RTE_ETH_TX_OFFLOAD_TCP_TSO;

static const uint64_t SHIM_RSS_IP = RTE_ETH_RSS_IP;
static const uint64_t SHIM_RSS_TCP = RTE_ETH_RSS_TCP;
static const uint64_t SHIM_RSS_UDP = RTE_ETH_RSS_UDP;
static const uint64_t SHIM_RSS_SCTP = RTE_ETH_RSS_SCTP;
static const uint64_t SHIM_RSS_VLAN = RTE_ETH_RSS_VLAN;
static const uint64_t SHIM_RSS_ETH = RTE_ETH_RSS_ETH;
static const uint64_t SHIM_RSS_L2_PAYLOAD = RTE_ETH_RSS_L2_PAYLOAD;

static const uint32_t SHIM_MQ_RX_NONE = RTE_ETH_MQ_RX_NONE;
static const uint32_t SHIM_MQ_RX_RSS = RTE_ETH_MQ_RX_RSS;
static const uint32_t SHIM_DEV_INTR_LSC = RTE_ETH_DEV_INTR_LSC;
static const uint32_t SHIM_DEV_INTR_RMV = RTE_ETH_DEV_INTR_RMV;
static const uint32_t SHIM_EVENT_LINK = RTE_ETH_EVENT_INTR_LSC;
static const uint32_t SHIM_EVENT_QUEUE = RTE_ETH_EVENT_QUEUE_STATE;
static const uint32_t SHIM_EVENT_REMOVED = RTE_ETH_EVENT_INTR_RMV;
static const int32_t SHIM_EPOLL_PER_THREAD = RTE_EPOLL_PER_THREAD;
static const int32_t SHIM_INTR_EVENT_ADD = RTE_INTR_EVENT_ADD;
static const int32_t SHIM_INTR_EVENT_DEL = RTE_INTR_EVENT_DEL;
static const uint32_t SHIM_RETA_GROUP = RTE_ETH_RETA_GROUP_SIZE;

/* Bursts: the inlines of rte_ethdev.h dispatch through rte_eth_fp_ops, whose layout 23.11 and 24.03
 * changed, and call back into pdump and the tracer. */
uint16_t shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n);
uint16_t shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n);
/* Descriptors that hold frames; negative: the device can't tell. For whoever polls the queue only. */
int shim_rx_queue_count(uint16_t port, uint16_t queue);

struct rte_mbuf *shim_mbuf_alloc(struct rte_mempool *pool);
int shim_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int n);
void shim_mbuf_free(struct rte_mbuf *mbuf);
int shim_mbuf_chain(struct rte_mbuf *head, struct rte_mbuf *tail);

int shim_errno(void);
uint32_t shim_lcore_id(void);
/* Makes the calling thread one that EAL doesn't know, without a mempool cache of its own. */
void shim_lcore_forget(void);
uint64_t shim_tsc_hz(void);

/* The colour, SHIM_COLOUR_*, of what counts `count` and came with `colour`. Where everything comes green,
 * these are the colour-blind ones. */
uint32_t shim_meter_srtcm(struct rte_meter_srtcm *meter, struct rte_meter_srtcm_profile *profile,
			  uint64_t time, uint32_t count, uint32_t colour);
uint32_t shim_meter_trtcm(struct rte_meter_trtcm *meter, struct rte_meter_trtcm_profile *profile,
			  uint64_t time, uint32_t count, uint32_t colour);
uint32_t shim_meter_trtcm_rfc4115(struct rte_meter_trtcm_rfc4115 *meter,
				  struct rte_meter_trtcm_rfc4115_profile *profile, uint64_t time,
				  uint32_t count, uint32_t colour);

/* struct rte_eth_link without its bit fields, which 24.07 put into a union. */
struct shim_link {
	uint32_t mbps; /* UINT32_MAX: unknown */
	uint8_t full_duplex;
	uint8_t autoneg;
	uint8_t up;
};
int shim_link_get(uint16_t port, struct shim_link *link);

/* struct rte_eth_conf has bit fields and unions that Rust would have to spell out; within it, 23.11 added
 * the hash algorithm to struct rte_eth_rss_conf. */
struct shim_port_conf {
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint32_t mtu;
	uint32_t mq_mode;
	uint64_t rx_offloads;
	uint64_t tx_offloads;
	uint64_t rss_types;
	uint8_t link_interrupt;
	uint8_t removal_interrupt;
	uint8_t rx_interrupts;
};
int shim_port_configure(uint16_t port, const struct shim_port_conf *conf);

/* Queues take the device's defaults but for what stands here. */
int shim_rx_queue_setup(uint16_t port, uint16_t queue, uint16_t descriptors, unsigned int socket,
			uint8_t drop_en, uint64_t offloads, struct rte_mempool *pool);
int shim_tx_queue_setup(uint16_t port, uint16_t queue, uint16_t descriptors, unsigned int socket,
			uint64_t offloads);

/* The ports that match devargs, at most `max` of them; their number, or a negative errno. The iterator
 * holds pointers into bus and class code that rte_dev.h and bus_driver.h share out differently since 22.11. */
int shim_ports_matching(const char *devargs, uint16_t *ports, unsigned int max);

/* A virtqueue as the front end set it up: where in our memory, and the entry that comes next. */
struct shim_vhost_ring {
	uintptr_t descriptors;
	uintptr_t available;
	uint16_t size;
	uint16_t position;
	int call; /* the file by which the front end is told of used entries, negative for none */
};
int shim_vhost_ring_get(int vid, uint16_t index, struct shim_vhost_ring *ring);

/* What DPDK tells of its memory, as text to be freed; null if there is no memory for it. */
static const uint32_t SHIM_DUMP_MEMPOOL = 0;
static const uint32_t SHIM_DUMP_MEMZONE = 1;
static const uint32_t SHIM_DUMP_PHYSMEM = 2;
char *shim_dump(uint32_t what);

/* A stream that hands every line to `write` (level, text without the line's end). */
int shim_log_to(void (*write)(uint32_t level, const char *text, size_t len));

#endif
