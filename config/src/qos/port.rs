use pollux_net::{Pcp, Trust};

use super::{Entry, maps};
use crate::tree::{Node, alike};

/// What the `qos` key of a port says.
#[derive(Default)]
pub(crate) struct PortQos {
    pub(crate) profile: Option<String>,
    pub(crate) trust: Option<Trust>,
    pub(crate) default_pcp: Option<Pcp>,
    pub(crate) pcp_regeneration: Option<[Pcp; 8]>,
}

const TRUST: [(&str, Trust); 3] = [("pcp", Trust::Pcp), ("dscp", Trust::Dscp), ("port", Trust::Port)];

/// Reads the `qos` key of a port, which may use these profiles. `default_trust` is what holds if it
/// doesn't say, as far as that is known.
pub(crate) fn read(node: &Node<'_>, profiles: &[Entry], default_trust: Option<Trust>) -> Option<PortQos> {
    node.table(|table| {
        let profile = table.get("profile", |node| profile_name(node, profiles));
        let trust = table.get("trust", |node| node.choice(&TRUST));
        let default_pcp = table.get("default_pcp", maps::pcp);
        let pcp_regeneration = table.get("pcp_regeneration", maps::regeneration);
        let trusted = if table.find("trust").is_some() { trust } else { default_trust };
        if trusted.is_some_and(|trust| trust != Trust::Pcp) {
            let what = "has no effect on a port that doesn't trust the tag's priority";
            table.refuse_keys(&["pcp_regeneration"], what, "remove it, or write `trust = \"pcp\"`");
        }
        Some(PortQos { profile, trust, default_pcp, pcp_regeneration })
    })
}

fn profile_name(node: &Node<'_>, profiles: &[Entry]) -> Option<String> {
    let text = node.text("write the name of a table under [qos.profiles]")?;
    if profiles.iter().any(|entry| entry.name == text) {
        return Some(text.to_owned());
    }
    let cure = match alike(text, profiles.iter().map(|entry| entry.name.as_str())) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => format!("add `[qos.profiles.{text}]`"),
    };
    node.refuse("there is no such QoS profile", cure)
}
