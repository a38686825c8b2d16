//! Finds DPDK, compiles the shim, generates the bindings and says what to link.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const FLOOR: &str = "22.11";
const CURE: &str = "install libdpdk-dev 22.11 or newer (Debian 12: apt install libdpdk-dev)";

/// What is linked dynamically: the functions of the allowlist live in these. Drivers, and the ring that
/// backs mempools, come from the distribution's plugin folder when EAL starts.
const LIBRARIES: [&str; 10] = [
    "rte_acl",
    "rte_bpf",
    "rte_ethdev",
    "rte_mbuf",
    "rte_mempool",
    "rte_meter",
    "rte_net_vhost",
    "rte_vhost",
    "rte_eal",
    "pcap",
];

/// What is linked statically, dependents first.
const ARCHIVES: [&str; 35] = [
    "rte_net_vhost",
    "rte_net_virtio",
    "rte_net_ixgbe",
    "rte_net_i40e",
    "rte_net_ice",
    "rte_net_iavf",
    "rte_common_iavf",
    "rte_net_e1000",
    "rte_net_igc",
    "rte_net_tap",
    "rte_net_af_packet",
    "rte_net_memif",
    "rte_net_pcap",
    "rte_net_ring",
    "rte_net_null",
    "rte_mempool_ring",
    "rte_vhost",
    "rte_bus_pci",
    "rte_bus_vdev",
    "rte_gso",
    "rte_bpf",
    "rte_acl",
    "rte_security",
    "rte_cryptodev",
    "rte_dmadev",
    "rte_hash",
    "rte_pci",
    "rte_ethdev",
    "rte_meter",
    "rte_net",
    "rte_mbuf",
    "rte_mempool",
    "rte_rcu",
    "rte_ring",
    "rte_eal",
];

/// What the archives themselves need.
const STATIC_DEPENDENCIES: [&str; 7] =
    ["rte_telemetry", "rte_kvargs", "pcap", "elf", "numa", "bsd", "atomic"];

const FUNCTIONS: &[&str] = &[
    "shim_.*",
    "bpf_filter",
    "pcap_close",
    "pcap_compile",
    "pcap_freecode",
    "pcap_geterr",
    "pcap_open_dead",
    "rte_acl_add_rules",
    "rte_acl_build",
    "rte_acl_classify",
    "rte_acl_create",
    "rte_acl_free",
    "rte_bpf_convert",
    "rte_bpf_destroy",
    "rte_bpf_exec_burst",
    "rte_bpf_get_jit",
    "rte_bpf_load",
    "rte_dev_probe",
    "rte_dev_remove",
    "rte_eal_cleanup",
    "rte_eal_get_runtime_dir",
    "rte_eal_has_hugepages",
    "rte_eal_init",
    "rte_eth_dev_callback_register",
    "rte_eth_dev_callback_unregister",
    "rte_eth_allmulticast_disable",
    "rte_eth_allmulticast_enable",
    "rte_eth_allmulticast_get",
    "rte_eth_dev_close",
    "rte_eth_dev_flow_ctrl_get",
    "rte_eth_dev_flow_ctrl_set",
    "rte_eth_dev_mac_addr_add",
    "rte_eth_dev_mac_addr_remove",
    "rte_eth_dev_rx_offload_name",
    "rte_eth_dev_tx_offload_name",
    "rte_eth_dev_get_mtu",
    "rte_eth_dev_get_name_by_port",
    "rte_eth_dev_info_get",
    "rte_eth_dev_priority_flow_ctrl_set",
    "rte_epoll_wait",
    "rte_eth_dev_rss_hash_conf_get",
    "rte_eth_dev_rss_reta_query",
    "rte_eth_dev_rss_reta_update",
    "rte_eth_dev_rx_intr_ctl_q",
    "rte_eth_dev_rx_intr_ctl_q_get_fd",
    "rte_eth_dev_rx_intr_disable",
    "rte_eth_dev_rx_intr_enable",
    "rte_eth_dev_set_link_down",
    "rte_eth_dev_set_link_up",
    "rte_eth_dev_set_mtu",
    "rte_eth_dev_socket_id",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_macaddr_get",
    "rte_eth_macaddrs_get",
    "rte_eth_promiscuous_disable",
    "rte_eth_promiscuous_enable",
    "rte_eth_promiscuous_get",
    "rte_eth_rx_burst_mode_get",
    "rte_eth_stats_get",
    "rte_eth_stats_reset",
    "rte_eth_tx_burst_mode_get",
    "rte_eth_vhost_get_queue_event",
    "rte_eth_vhost_get_vid_from_port_id",
    "rte_eth_xstats_get",
    "rte_eth_xstats_get_names",
    "rte_eth_xstats_reset",
    "rte_free",
    "rte_log_set_global_level",
    "rte_mempool_avail_count",
    "rte_mempool_calc_obj_size",
    "rte_mempool_free",
    "rte_mempool_in_use_count",
    "rte_meter_srtcm_profile_config",
    "rte_meter_trtcm_profile_config",
    "rte_meter_trtcm_rfc4115_profile_config",
    "rte_pktmbuf_copy",
    "rte_pktmbuf_free_bulk",
    "rte_pktmbuf_pool_create",
    "rte_strerror",
    "rte_thread_register",
    "rte_thread_unregister",
    "rte_version",
    "rte_vhost_driver_disable_features",
    "rte_vhost_driver_get_protocol_features",
    "rte_vhost_driver_set_protocol_features",
    "rte_vhost_get_negotiated_features",
];

const TYPES: &[&str] = &[
    "shim_.*",
    "rte_acl_config",
    "rte_acl_field",
    "rte_acl_field_def",
    "rte_acl_field_types",
    "rte_acl_param",
    "rte_acl_rule",
    "rte_acl_rule_data",
    "rte_epoll_event",
    "rte_eth_dev_info",
    "rte_eth_burst_mode",
    "rte_eth_fc_conf",
    "rte_eth_pfc_conf",
    "rte_eth_rss_conf",
    "rte_eth_rss_reta_entry64",
    "rte_eth_stats",
    "rte_eth_xstat",
    "rte_eth_xstat_name",
    "rte_eth_vhost_queue_event",
];

/// Pointers to these are all that Rust ever holds; the first ones change between releases, the others
/// are laid out in ways that Rust can't express (packed and aligned at once).
const OPAQUE: &[&str] = &[
    "rte_mbuf",
    "rte_mempool",
    "pcap",
    "rte_bpf",
    "rte_device",
    "rte_mempool_objsz",
    "rte_l2tpv2_combined_msg_hdr",
    "slow_protocol_frame",
    "port_params",
    "lacpdu.*",
    "marker.*",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");

    let found = pkg_config::Config::new()
        .atleast_version(FLOOR)
        .cargo_metadata(false)
        .env_metadata(true)
        .probe("libdpdk");
    let dpdk = match found {
        Ok(dpdk) => dpdk,
        Err(pkg_config::Error::ProbeFailure { .. }) => {
            let version = pkg_config_says("--modversion").join(" ");
            let problem = if version.is_empty() {
                "there is no DPDK to build against (pkg-config knows no libdpdk)".to_owned()
            } else {
                format!("DPDK {version} is too old, {FLOOR} is the oldest that will do")
            };
            refuse(&problem)
        }
        Err(error) => refuse(&error.to_string()),
    };
    let flags = pkg_config_says("--cflags");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));

    compile_shim(&flags);
    generate_bindings(&flags, &out);
    link(&dpdk);
    println!("cargo:version={}", dpdk.version);
}

fn refuse(problem: &str) -> ! {
    // Cargo shows the warning even where it hides what a failed build script wrote.
    println!("cargo:warning={problem}: {CURE}");
    eprintln!("{problem}: {CURE}");
    exit(1)
}

/// The words that `pkg-config <question> libdpdk` answers, none if it fails.
fn pkg_config_says(question: &str) -> Vec<String> {
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let output = Command::new(program).args([question, "libdpdk"]).output();
    let text = output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn compile_shim(flags: &[String]) {
    let mut build = cc::Build::new();
    build.file("shim/shim.c").include("shim").std("gnu11");
    // The inlines are DPDK's: optimise them in every profile, and leave their warnings to DPDK.
    build.opt_level(3).warnings(false);
    for flag in flags {
        build.flag(flag);
    }
    build.compile("pollux_dpdk_shim");
}

fn generate_bindings(flags: &[String], out: &Path) {
    let mut builder = bindgen::Builder::default()
        .header("shim/shim.h")
        .clang_args(flags)
        .use_core()
        .generate_comments(false)
        .layout_tests(false)
        .derive_default(true)
        .prepend_enum_name(false)
        .allowlist_var("SHIM_.*")
        .allowlist_var("VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD")
        .allowlist_recursively(true)
        // Per-thread variables reach Rust through the shim.
        .blocklist_item("per_lcore__.*");
    for function in FUNCTIONS {
        builder = builder.allowlist_function(function);
    }
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in OPAQUE {
        builder = builder.opaque_type(name);
    }
    builder
        .generate()
        .unwrap_or_else(|error| refuse(&format!("bindgen can't read DPDK's headers ({error})")))
        .write_to_file(out.join("bindings.rs"))
        .expect("OUT_DIR can be written");
}

fn link(dpdk: &pkg_config::Library) {
    for path in &dpdk.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    if env::var_os("CARGO_FEATURE_STATIC").is_none() {
        for library in LIBRARIES {
            println!("cargo:rustc-link-lib=dylib={library}");
        }
        return;
    }
    // Where pkg-config says nothing because the folder is the linker's own, rustc still wants to know.
    for folder in pkg_config_says("--variable=libdir") {
        println!("cargo:rustc-link-search=native={folder}");
    }
    // Drivers register themselves in constructors that nothing refers to: keep every object.
    for archive in ARCHIVES {
        println!("cargo:rustc-link-lib=static:+whole-archive,-bundle={archive}");
    }
    for library in STATIC_DEPENDENCIES {
        let kind = if library.starts_with("rte_") { "static:+whole-archive,-bundle" } else { "dylib" };
        println!("cargo:rustc-link-lib={kind}={library}");
    }
}
