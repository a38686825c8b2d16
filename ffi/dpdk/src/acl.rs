//! Ordered rules about what frames carry, over DPDK's ACL library.

use std::fmt;
use std::ops::RangeInclusive;
use std::ptr::NonNull;

use arrayvec::ArrayVec;
use dpdk_sys as sys;
use pollux_net::{FlowKey, FlowMatch, FlowRules, MacMatch, mapped};

use crate::Eal;
use crate::error::{Error, Result, c_string, check};

/// Rules in an order, of which the first that a frame fits counts. Built once, it is looked up by any
/// number of threads, in a time that hardly depends on how many rules there are.
///
/// The library makes tries of them, each a walk over the key's octets. Rules that would make too many or
/// too large ones are divided among several tables, which are looked up one after the other.
pub struct FlowAcl {
    /// In the order of the rules; none without rules.
    tables: Vec<Table>,
    rules: usize,
}

impl FlowAcl {
    /// The most rules.
    pub const MAX_RULES: usize = 1024;

    /// Builds what looks up `rules`, in memory of the environment. It takes milliseconds for lists of
    /// addresses and ports, but seconds, and a gigabyte meanwhile, for hundreds of rules that overlap in many
    /// fields.
    ///
    /// # Errors
    ///
    /// More than [`MAX_RULES`](Self::MAX_RULES); too little memory.
    pub fn build(eal: &Eal, rules: &[FlowMatch]) -> Result<Self> {
        let subject = format!("{} rules", rules.len());
        if rules.len() > Self::MAX_RULES {
            let message = format!("there can be {} rules at most", Self::MAX_RULES);
            return Err(Error::refused(BUILD, subject, libc::E2BIG, message));
        }
        let encoded: Vec<Rule> =
            rules.iter().zip(1..).filter_map(|(rule, number)| Rule::new(rule, number)).collect();
        let tables = tables_of(eal, &encoded)
            // Whichever part of them it was.
            .map_err(|error| Error::from_errno(error.call(), subject, error.errno()))?;
        Ok(Self { tables, rules: rules.len() })
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules == 0
    }
}

impl FlowRules for FlowAcl {
    fn first_fits(&self, keys: &[FlowKey], hits: &mut [u32]) {
        let hits = &mut hits[..keys.len()];
        let Some((first, others)) = self.tables.split_first() else {
            hits.fill(0);
            return;
        };
        for (keys, hits) in keys.chunks(AT_ONCE).zip(hits.chunks_mut(AT_ONCE)) {
            first.look_up(keys, hits);
            for table in others {
                let mut later = [0; AT_ONCE];
                table.look_up(keys, &mut later[..keys.len()]);
                for (hit, later) in hits.iter_mut().zip(later) {
                    // A rule of an earlier table comes first.
                    if *hit == 0 {
                        *hit = later;
                    }
                }
            }
        }
    }
}

impl fmt::Debug for FlowAcl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowAcl")
            .field("rules", &self.rules)
            .field("tables", &self.tables.len())
            .finish_non_exhaustive()
    }
}

const BUILD: &str = "rte_acl_build";

/// Keys that are looked up by one call: a burst.
const AT_ONCE: usize = 32;

/// Rules that the first table is first made of.
const FIRST_ATTEMPT: usize = 32;

/// The library can answer for several categories of rules at once. These are all in one, the first.
const CATEGORIES: u32 = 1;

/// What the two values of a rule's field say.
#[derive(Clone, Copy)]
enum Kind {
    /// A value, and which of its bits count.
    Bits = sys::SHIM_ACL_BITS as isize,
    /// The lowest and the highest value.
    Range = sys::SHIM_ACL_RANGE as isize,
}

/// A part of the key that is compared.
#[derive(Clone, Copy)]
struct Field {
    at: usize,
    size: usize,
    kind: Kind,
}

const fn bits(at: usize, size: usize) -> Field {
    Field { at, size, kind: Kind::Bits }
}

const fn range(at: usize) -> Field {
    Field { at, size: 2, kind: Kind::Range }
}

const FIELDS: [Field; 19] = [
    bits(FlowKey::PROTOCOL, 1),
    range(FlowKey::VID),
    bits(FlowKey::ETHERTYPE, 2),
    bits(FlowKey::DESTINATION_MAC, 4),
    bits(FlowKey::DESTINATION_MAC + 4, 2),
    bits(FlowKey::SOURCE_MAC, 2),
    bits(FlowKey::SOURCE_MAC + 2, 4),
    bits(FlowKey::SOURCE, 4),
    bits(FlowKey::SOURCE + 4, 4),
    bits(FlowKey::SOURCE + 8, 4),
    bits(FlowKey::SOURCE + 12, 4),
    bits(FlowKey::DESTINATION, 4),
    bits(FlowKey::DESTINATION + 4, 4),
    bits(FlowKey::DESTINATION + 8, 4),
    bits(FlowKey::DESTINATION + 12, 4),
    range(FlowKey::SOURCE_PORT),
    range(FlowKey::DESTINATION_PORT),
    range(FlowKey::DSCP),
    bits(FlowKey::FLAGS, 2),
];

/// Octets that the library reads at once.
const GROUP: usize = 4;

// What the library asks of fields: the first is one octet, all others come in whole groups. It reads each
// group from where the group's first field lies, and may read as much with the first field.
const _: () = {
    assert!(FIELDS[0].size == 1 && FIELDS[0].at + GROUP <= FlowKey::LEN);
    let mut end = GROUP;
    let mut n = 1;
    while n < FIELDS.len() {
        assert!(FIELDS[n].at == end, "a gap between fields");
        assert!(end % GROUP + FIELDS[n].size <= GROUP, "a field in two groups");
        end += FIELDS[n].size;
        n += 1;
    }
    assert!(end == FlowKey::LEN && end.is_multiple_of(GROUP), "a group that leaves the key");
};

/// A rule as the library has it.
#[repr(C)]
struct Rule {
    data: sys::rte_acl_rule_data,
    fields: [sys::rte_acl_field; FIELDS.len()],
}

const _: () = {
    let head = sys::SHIM_ACL_RULE_HEAD as usize;
    assert!(size_of::<Rule>() == head + FIELDS.len() * sys::SHIM_ACL_RULE_FIELD as usize);
    assert!(std::mem::offset_of!(Rule, fields) == head);
    assert!(align_of::<Rule>() >= align_of::<sys::rte_acl_rule>());
};

impl Rule {
    /// The rule that answers `number`, from 1; `None` if no frame can fit.
    fn new(rule: &FlowMatch, number: u32) -> Option<Self> {
        let mut sides = Sides { first: [0; FlowKey::LEN], second: [0; FlowKey::LEN] };
        if let Some(protocol) = rule.protocol {
            sides.put(FlowKey::PROTOCOL, [protocol], [u8::MAX]);
        }
        if let Some(ethertype) = rule.required_ethertype() {
            sides.put(FlowKey::ETHERTYPE, ethertype.to_be_bytes(), [u8::MAX; 2]);
        }
        let macs = [(FlowKey::DESTINATION_MAC, rule.destination_mac), (FlowKey::SOURCE_MAC, rule.source_mac)];
        for (at, wanted) in macs {
            if let Some(MacMatch { mac, mask }) = wanted {
                sides.put(at, mac.octets(), mask.octets());
            }
        }
        for (at, wanted) in [(FlowKey::SOURCE, rule.source), (FlowKey::DESTINATION, rule.destination)] {
            let (address, len) = wanted.map_or((0, 0), mapped);
            let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
            sides.put(at, address.to_be_bytes(), mask.to_be_bytes());
        }
        let ranges = [
            (FlowKey::VID, bounds(&rule.vid)?),
            (FlowKey::SOURCE_PORT, bounds(&rule.source_port)?),
            (FlowKey::DESTINATION_PORT, bounds(&rule.destination_port)?),
            (FlowKey::DSCP, bounds(&rule.dscp)?),
        ];
        for (at, [low, high]) in ranges {
            sides.put(at, low.to_be_bytes(), high.to_be_bytes());
        }
        let flags = rule.flags().to_be_bytes();
        sides.put(FlowKey::FLAGS, flags, flags);
        Some(Self {
            // Of the rules that fit, the library answers the one with the highest priority, from 1.
            data: sys::rte_acl_rule_data {
                category_mask: CATEGORIES,
                priority: (FlowAcl::MAX_RULES as u32 + 1 - number) as i32,
                userdata: number,
            },
            fields: FIELDS.map(|field| sys::rte_acl_field {
                value: value_of(&sides.first[field.at..][..field.size]),
                mask_range: value_of(&sides.second[field.at..][..field.size]),
            }),
        })
    }
}

/// Both values of all fields, each where the key has it.
struct Sides {
    first: [u8; FlowKey::LEN],
    second: [u8; FlowKey::LEN],
}

impl Sides {
    fn put<const N: usize>(&mut self, at: usize, first: [u8; N], second: [u8; N]) {
        self.first[at..at + N].copy_from_slice(&first);
        self.second[at..at + N].copy_from_slice(&second);
    }
}

/// The lowest and the highest value of a range, where none is all; `None` if nothing is within.
fn bounds<T: Copy + PartialOrd + Into<u16>>(range: &Option<RangeInclusive<T>>) -> Option<[u16; 2]> {
    match range {
        None => Some([0, u16::MAX]),
        Some(range) if range.is_empty() => None,
        Some(range) => Some([*range.start(), *range.end()].map(Into::into)),
    }
}

/// A number in network order, as rules have it: in the host's.
fn value_of(octets: &[u8]) -> sys::rte_acl_field_types {
    let value = octets.iter().fold(0, |value, &octet| value << 8 | u32::from(octet));
    // The library looks at all eight octets here and there.
    let mut types = sys::rte_acl_field_types { u64_: 0 };
    match octets.len() {
        1 => types.u8_ = value as u8,
        2 => types.u16_ = value as u16,
        _ => types.u32_ = value,
    }
    types
}

/// Tables of `rules`, in their order, as few as the library can make of them.
fn tables_of(eal: &Eal, mut rules: &[Rule]) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    // Rules that overlap in many fields multiply: what is too many for a table takes gigabytes until the
    // library says so. So it isn't asked for more than twice as many as were well.
    let mut len = FIRST_ATTEMPT.min(rules.len());
    let mut growing = true;
    while !rules.is_empty() {
        let mut built = Table::build(eal, &rules[..len]);
        while growing && built.is_ok() && len < rules.len() {
            let longer = (len * 2).min(rules.len());
            match Table::build(eal, &rules[..longer]) {
                Ok(table) => (built, len) = (Ok(table), longer),
                Err(_) => growing = false,
            }
        }
        match built {
            Ok(table) => {
                tables.push(table);
                rules = &rules[len..];
                len = len.min(rules.len());
            }
            Err(error) if len > 1 && matches!(error.errno(), libc::ENOMEM | libc::ERANGE) => {
                len /= 2;
                growing = false;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(tables)
}

/// A context of the library, built.
struct Table {
    context: NonNull<sys::rte_acl_ctx>,
    _eal: Eal,
}

// SAFETY: the context lives as long as `Table`, whose drop alone frees it, which DPDK allows from any thread
// (the list of contexts and the memory have locks). It belongs to no thread.
unsafe impl Send for Table {}
// SAFETY: through a shared reference the context is only looked up, which takes it as const and keeps all
// that it writes on the caller's stack.
unsafe impl Sync for Table {}

impl Table {
    fn build(eal: &Eal, rules: &[Rule]) -> Result<Self> {
        const CREATE: &str = "rte_acl_create";
        const ADD: &str = "rte_acl_add_rules";
        const SUBJECT: &str = "rules";
        // Who asks for a name that there is gets somebody else's context.
        const { assert!("pollux-acl-4294967295".len() < sys::SHIM_ACL_NAME_MAX as usize) };
        let name = c_string(CREATE, &eal.unique("pollux-acl-"))?;
        let parameters = sys::rte_acl_param {
            name: name.as_ptr(),
            socket_id: -1,
            rule_size: size_of::<Rule>() as u32,
            max_rule_num: rules.len() as u32,
        };
        // SAFETY: EAL is initialised, as `eal` shows; the name ends and is copied.
        let context = unsafe { sys::rte_acl_create(&parameters) };
        // The parameters are right: it is memory that lacks.
        let context =
            NonNull::new(context).ok_or_else(|| Error::from_errno(CREATE, SUBJECT, libc::ENOMEM))?;
        let table = Self { context, _eal: eal.clone() };
        // SAFETY: nobody else has the context; it copies as many rules of the size that it was told.
        let ret =
            unsafe { sys::rte_acl_add_rules(context.as_ptr(), rules.as_ptr().cast(), rules.len() as u32) };
        check(ADD, SUBJECT, ret)?;
        let mut config = sys::rte_acl_config {
            num_categories: CATEGORIES,
            num_fields: FIELDS.len() as u32,
            // With a limit, the library begins with tries eight times as large before it makes more of them.
            max_size: 0,
            ..Default::default()
        };
        for (index, (raw, field)) in config.defs.iter_mut().zip(FIELDS).enumerate() {
            *raw = sys::rte_acl_field_def {
                type_: field.kind as u8,
                size: field.size as u8,
                field_index: index as u8,
                input_index: (field.at / GROUP) as u8,
                offset: field.at as u32,
            };
        }
        // SAFETY: nobody else has the context, and its rules have the fields that `config` names.
        check(BUILD, SUBJECT, unsafe { sys::rte_acl_build(context.as_ptr(), &config) })?;
        Ok(table)
    }

    /// As [`FlowRules::first_fits`], for at most [`AT_ONCE`] keys and as many hits.
    fn look_up(&self, keys: &[FlowKey], hits: &mut [u32]) {
        let mut octets: ArrayVec<*const u8, AT_ONCE> = keys.iter().map(|key| key.octets().as_ptr()).collect();
        assert_eq!(octets.len(), hits.len());
        let count = octets.len() as u32;
        // SAFETY: the context is built. It reads `count` keys no further than their ends (as asserted of
        // FIELDS above), and writes a number for each into `hits`, which has as many.
        let ret = unsafe {
            sys::rte_acl_classify(
                self.context.as_ptr(),
                octets.as_mut_ptr(),
                hits.as_mut_ptr(),
                count,
                CATEGORIES,
            )
        };
        debug_assert_eq!(ret, 0, "one category is always right");
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // SAFETY: nobody else has the context.
        unsafe { sys::rte_acl_free(self.context.as_ptr()) };
    }
}
