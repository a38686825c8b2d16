//! DPDK as bindgen sees it: build.rs lists what comes through, shim/ holds the inlines and macros that
//! don't come through by themselves. Nothing here is written by hand; the safe layer is `dpdk`.
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals, missing_docs)]
#![allow(unsafe_op_in_unsafe_fn, unreachable_pub, unused_qualifications, clippy::all)]
#![allow(clippy::undocumented_unsafe_blocks)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
