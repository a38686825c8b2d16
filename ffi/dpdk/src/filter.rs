//! Filters in libpcap's language, over DPDK's BPF library.

use std::ffi::{CStr, c_void};
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use dpdk_sys as sys;
use pollux_net::{FILTER_BURST, FrameFilter};

use crate::error::{Error, Result, c_string, last_errno};
use crate::filter_words::looked_up;
use crate::{Eal, Mbuf};

/// A filter of frames, as tcpdump and Wireshark's captures have them (pcap-filter(7)). Compiled once, it runs
/// on any number of threads: as machine code where the library has a sound compiler for the processor.
pub struct PacketFilter {
    program: NonNull<sys::rte_bpf>,
    /// The same in machine code.
    native: Option<unsafe extern "C" fn(*mut c_void) -> u64>,
    expression: String,
    _eal: Eal,
}

// SAFETY: the program lives as long as `PacketFilter`, whose drop alone frees it. It belongs to no thread.
unsafe impl Send for PacketFilter {}
// SAFETY: through a shared reference the program is only run, which writes on the caller's stack alone.
unsafe impl Sync for PacketFilter {}

impl PacketFilter {
    /// The most octets of an expression.
    pub const MAX_LEN: usize = 4096;

    /// Instructions of a program that DPDK is asked to verify. What that takes grows faster than the program,
    /// and whoever asks waits for it.
    const MAX_INSTRUCTIONS: u32 = 1024;

    /// What `expression` means, an empty one: every frame.
    ///
    /// # Errors
    ///
    /// It is no filter, or too long a one; it has the name of a host, which nobody is asked for; too little
    /// memory.
    pub fn compile(eal: &Eal, expression: &str) -> Result<Self> {
        const CONVERT: &str = "rte_bpf_convert";
        const LOAD: &str = "rte_bpf_load";
        let classic = Classic::compile(expression)?;
        // SAFETY: EAL is initialised, as `eal` shows; the program is whole, and is only read.
        let parameters = unsafe { sys::rte_bpf_convert(classic.raw().cast()) };
        let failed = |call| Error::from_errno(call, subject(expression), last_errno());
        let parameters = NonNull::new(parameters).ok_or_else(|| failed(CONVERT))?;
        // SAFETY: the parameters are what the library has made: in one piece of memory of rte_malloc, which is
        // the caller's to free, they and their instructions. Nobody else has them, and who loads them copies them.
        let (program, compiles_well) = unsafe {
            let made = parameters.as_ref();
            let instructions = std::slice::from_raw_parts_mut(made.ins.cast_mut(), made.nb_ins as usize);
            correct(instructions);
            let compiles_well = compiles_well(instructions);
            let program = sys::rte_bpf_load(parameters.as_ptr());
            let error = failed(LOAD);
            sys::rte_free(parameters.as_ptr().cast());
            (NonNull::new(program).ok_or(error)?, compiles_well)
        };
        let mut native = sys::rte_bpf_jit::default();
        // SAFETY: the program is loaded; the call writes `native` only.
        let found = unsafe { sys::rte_bpf_get_jit(program.as_ptr(), &mut native) };
        let native = native.func.filter(|_| found == 0 && compiles_well);
        Ok(Self { program, native, expression: expression.to_owned(), _eal: eal.clone() })
    }

    /// Whether `expression` is a filter, without DPDK.
    ///
    /// # Errors
    ///
    /// Why it isn't.
    pub fn check(expression: &str) -> Result<()> {
        Classic::compile(expression).map(drop)
    }

    /// What it was compiled from.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Whether it runs as machine code.
    pub fn is_native(&self) -> bool {
        self.native.is_some()
    }
}

impl FrameFilter<Mbuf> for PacketFilter {
    fn choose(&self, frames: &[Mbuf]) -> u32 {
        assert!(frames.len() <= FILTER_BURST);
        let mut found = [0; FILTER_BURST];
        let contexts = frames.as_ptr().cast_mut().cast::<*mut c_void>();
        match self.native {
            Some(native) => {
                for (found, frame) in found.iter_mut().zip(frames) {
                    // SAFETY: the code is alive with the program. It takes an mbuf that is alive, as `frame` is,
                    // and reads it.
                    *found = unsafe { native(frame.segment().raw().as_ptr().cast()) };
                }
            }
            // SAFETY: an Mbuf is a pointer (transparent), so there are as many contexts as frames, each an mbuf
            // that is alive, and at least as many places in `found`; the program only reads them.
            None => unsafe {
                let count = frames.len() as u32;
                sys::rte_bpf_exec_burst(self.program.as_ptr(), contexts, found.as_mut_ptr(), count);
            },
        }
        let found = found.iter().take(frames.len()).enumerate();
        found.fold(0, |bits, (n, &octets)| bits | u32::from(octets != 0) << n)
    }
}

impl fmt::Debug for PacketFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketFilter")
            .field("expression", &self.expression)
            .field("native", &self.is_native())
            .finish_non_exhaustive()
    }
}

impl Drop for PacketFilter {
    fn drop(&mut self) {
        // SAFETY: nobody else has the program, and nobody runs it.
        unsafe { sys::rte_bpf_destroy(self.program.as_ptr()) };
    }
}

/// Has loads of words and octets that lie at a computed place, as in `tcp[13]`, look there: the library, at
/// least up to 22.11.11, takes the register with the result of the last computation for the one with the place.
fn correct(program: &mut [sys::ebpf_insn]) {
    for instruction in program {
        let code = u32::from(instruction.code);
        let computed = code == sys::SHIM_BPF_LOAD_WORD_AT || code == sys::SHIM_BPF_LOAD_OCTET_AT;
        if computed && u32::from(instruction.src_reg()) == sys::SHIM_BPF_A {
            instruction.set_src_reg(sys::SHIM_BPF_X as u8);
        }
    }
}

/// Whether the library's compiler makes of the program what it says. At least up to 22.11.11 it writes one octet
/// of the mask that a jump looks at where the processor reads four: `tcp[13] & 2 != 0` runs into nowhere.
fn compiles_well(program: &[sys::ebpf_insn]) -> bool {
    let broken = |instruction: &sys::ebpf_insn| {
        u32::from(instruction.code) == sys::SHIM_BPF_JUMP_IF_SET && i8::try_from(instruction.imm).is_ok()
    };
    !program.iter().any(broken)
}

fn subject(expression: &str) -> String {
    format!("the filter `{expression}`")
}

/// A program as libpcap makes it.
struct Classic(sys::bpf_program);

impl Classic {
    fn compile(expression: &str) -> Result<Self> {
        const CALL: &str = "pcap_compile";
        let refused = |message: &str| Error::refused(CALL, subject(expression), libc::EINVAL, message);
        if expression.len() > PacketFilter::MAX_LEN {
            let message = format!("it has more than {} octets", PacketFilter::MAX_LEN);
            return Err(Error::refused(CALL, "a filter", libc::EINVAL, message));
        }
        if let Some(name) = looked_up(expression) {
            return Err(refused(&format!(
                "`{name}` is no word of it, and no address: names aren't looked up"
            )));
        }
        let text = c_string(CALL, expression)?;
        let handle = Handle::open()?;
        let mut program = MaybeUninit::zeroed();
        // SAFETY: the handle is open, and the text ends; the call fills the program in if it answers 0.
        let ret = unsafe {
            let optimised = 1;
            let netmask = sys::SHIM_FILTER_NO_NETMASK;
            sys::pcap_compile(handle.0.as_ptr(), program.as_mut_ptr(), text.as_ptr(), optimised, netmask)
        };
        if ret != 0 {
            return Err(refused(&handle.error()));
        }
        // SAFETY: it is filled in, and all zero is a program as well.
        let program = Self(unsafe { program.assume_init() });
        if program.0.bf_len > PacketFilter::MAX_INSTRUCTIONS {
            let most = PacketFilter::MAX_INSTRUCTIONS;
            return Err(refused(&format!(
                "it takes {} instructions, and {most} are the most",
                program.0.bf_len
            )));
        }
        Ok(program)
    }

    fn raw(&self) -> *const sys::bpf_program {
        &self.0
    }
}

impl Drop for Classic {
    fn drop(&mut self) {
        // SAFETY: the program was filled in by pcap_compile, and nobody else has it.
        unsafe { sys::pcap_freecode(&mut self.0) };
    }
}

/// What libpcap compiles for: Ethernet frames.
struct Handle(NonNull<sys::pcap_t>);

impl Handle {
    fn open() -> Result<Self> {
        const CALL: &str = "pcap_open_dead";
        // SAFETY: takes any two numbers.
        let handle =
            unsafe { sys::pcap_open_dead(sys::SHIM_FILTER_LINK as i32, sys::SHIM_FILTER_SNAP as i32) };
        NonNull::new(handle).map(Self).ok_or_else(|| Error::from_errno(CALL, "a filter", libc::ENOMEM))
    }

    /// Why the last call failed.
    fn error(&self) -> String {
        // SAFETY: the handle is open; its text ends, and lives as long as it. It is copied at once.
        unsafe { CStr::from_ptr(sys::pcap_geterr(self.0.as_ptr())) }.to_string_lossy().into_owned()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle.
        unsafe { sys::pcap_close(self.0.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EalOptions, Mempool, PoolOptions};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use proptest::test_runner::{Config, TestRunner};

    /// Something of every kind that libpcap makes instructions for.
    const EXPRESSIONS: [&str; 24] = [
        "ip",
        "vlan",
        "vlan 10",
        "vlan 10 and ip",
        "tcp[13] & 2 != 0",
        "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "tcp[4:4] > 0x80000000",
        "udp[8:4] = 0x07070707",
        "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
        "udp portrange 50-60",
        "src net 10.0.0.0/8 or dst net 192.168.0.0/16",
        "not (tcp or udp)",
        "ip6",
        "ip6 and tcp port 80",
        "icmp[icmptype] = icmp-echo",
        "ether src 02:00:00:00:00:01",
        "ether multicast",
        "less 64",
        "greater 64",
        "len % 3 = 1",
        "ether[len - 1] = 7",
        "ether[ether[14] & 15:2] / 3 > 1000",
        "ip[8] * 3 >= 0xc0 or ip[9] ^ 1 = 16",
        "(ip[0] >> 4) + (ip[1] | 1) - 5 < 3",
    ];

    /// Octets that are often those of headers.
    fn frame() -> impl Strategy<Value = Vec<u8>> {
        let tags = select(vec![&[][..], &[0x81, 0, 0, 10], &[0x88, 0xa8, 0x20, 1, 0x81, 0, 0, 10]]);
        let ethertype = select(vec![[0x08, 0x00], [0x86, 0xdd], [0x08, 0x06], [0, 60]]);
        let protocol = select(vec![1_u8, 6, 17, 58]);
        let port = select(vec![[0_u8, 53], [0, 80], [0x30, 0x39]]);
        let rest = vec(prop_oneof![Just(7_u8), any::<u8>()], 0..150);
        (tags, ethertype, protocol, port, select(vec![5_u8, 6, 15]), rest).prop_map(
            |(tags, ethertype, protocol, port, words, rest)| {
                let mut octets = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
                octets.extend(tags);
                octets.extend(ethertype);
                let start = octets.len();
                octets.extend(rest);
                let ip = octets.get_mut(start..).unwrap_or_default();
                let transport = usize::from(words) * 4;
                let fields = [(0, 0x40 | words), (6, 0), (7, 0), (9, protocol), (12, 10)];
                let ports = [(transport, port[0]), (transport + 1, port[1])];
                for (at, octet) in fields.into_iter().chain(ports) {
                    if let Some(place) = ip.get_mut(at) {
                        *place = octet;
                    }
                }
                octets
            },
        )
    }

    #[test]
    fn chooses_what_libpcap_chooses() {
        let prefix = format!("pollux-test-{}", std::process::id());
        let options =
            EalOptions { file_prefix: prefix, hugepages: false, memory: Some(256), ..EalOptions::default() };
        let eal = Eal::init(&options).unwrap();
        let pool = Mempool::create(&eal, &PoolOptions { data_room: 64, ..PoolOptions::default() }).unwrap();
        // As machine code, and not.
        let filters = EXPRESSIONS.iter().flat_map(|expression| {
            [true, false].map(|native| {
                let mut filter =
                    PacketFilter::compile(&eal, expression).unwrap_or_else(|error| panic!("{error}"));
                filter.native = filter.native.filter(|_| native);
                (Classic::compile(expression).unwrap(), filter)
            })
        });
        let filters: Vec<_> = filters.collect();
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
        let frames = vec(frame(), 1..FILTER_BURST);
        let result = runner.run(&frames, |frames| {
            let mbufs: Vec<_> =
                frames.iter().map(|octets| Mbuf::from_slice(&pool, octets).unwrap()).collect();
            for (classic, filter) in &filters {
                let wanted = frames.iter().enumerate().fold(0, |bits, (n, octets)| {
                    let len = octets.len() as u32;
                    // SAFETY: the program is whole, and reads so many octets.
                    let found = unsafe { sys::bpf_filter(classic.0.bf_insns, octets.as_ptr(), len, len) };
                    bits | u32::from(found != 0) << n
                });
                prop_assert_eq!(filter.choose(&mbufs), wanted, "{:?}", filter);
            }
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{error}"));
    }
}
