/// The processors of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cpus {
    /// The switch's worker.
    pub(super) worker: usize,
    /// Everything that doesn't poll: the control plane, the hosts' programs.
    pub(super) house: usize,
    /// The load between the vhost-user ports.
    pub(super) load: usize,
}

impl Cpus {
    /// From those that this process may use.
    pub(super) fn choose() -> Self {
        let ids = core_affinity::get_core_ids().unwrap_or_default();
        let mut allowed: Vec<_> = ids.into_iter().map(|core| core.id).collect();
        allowed.sort_unstable();
        Self::from(&allowed)
    }

    fn from(allowed: &[usize]) -> Self {
        let house = allowed.first().copied().unwrap_or(0);
        let worker = allowed.get(1).copied().unwrap_or(house);
        let load = allowed.get(2).copied().unwrap_or(house);
        Self { worker, house, load }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_has_a_cpu_to_itself_where_there_are_two() {
        assert_eq!(Cpus::from(&[0, 1]), Cpus { worker: 1, house: 0, load: 0 });
        assert_eq!(Cpus::from(&[2, 3, 5, 7]), Cpus { worker: 3, house: 2, load: 5 });
        assert_eq!(Cpus::from(&[4]), Cpus { worker: 4, house: 4, load: 4 });
    }
}
