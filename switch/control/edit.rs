//! Changes to a configuration's text, which keep its order and its comments.

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use super::ChangeError;

/// One change to a text.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Gives a key a value, and makes the tables around it that aren't there.
    Set(Vec<String>, Value),
    /// Takes a key out, with what is below it.
    Remove(Vec<String>),
}

impl Edit {
    /// The keys that lead to what it changes.
    pub fn path(&self) -> &[String] {
        match self {
            Self::Set(path, _) | Self::Remove(path) => path,
        }
    }

    pub(super) fn path_mut(&mut self) -> &mut [String] {
        match self {
            Self::Set(path, _) | Self::Remove(path) => path,
        }
    }

    /// Does it.
    ///
    /// # Errors
    ///
    /// The path leads through what is no table, or to nothing that could be removed.
    pub(super) fn apply(self, document: &mut DocumentMut) -> Result<(), ChangeError> {
        let wrong = |path: &[String]| ChangeError::NoKey(path.join("."));
        match self {
            Self::Set(path, value) => set(document.as_item_mut(), &path, value).ok_or_else(|| wrong(&path)),
            Self::Remove(path) => remove(document.as_item_mut(), &path).ok_or_else(|| wrong(&path)),
        }
    }
}

fn set(root: &mut Item, path: &[String], value: Value) -> Option<()> {
    let (last, around) = path.split_last()?;
    let mut item = root;
    for depth in 0..around.len() {
        let inline = item.is_inline_table() || !has_header(&path[..=depth]);
        let table = item.as_table_like_mut()?;
        let new = || if inline { Item::Value(InlineTable::new().into()) } else { Item::Table(unseen()) };
        item = table.entry(&around[depth]).or_insert_with(new);
    }
    let inline = item.is_inline_table();
    let table = item.as_table_like_mut()?;
    let new = match value {
        Value::InlineTable(keys) if !inline && has_header(path) => Item::Table(keys.into_table()),
        value => Item::Value(value),
    };
    put(table, last, new);
    Some(())
}

/// Puts an item in the place of the one of this key; what is written beside that one stays.
fn put(table: &mut dyn TableLike, key: &str, mut new: Item) {
    match (table.get_mut(key), &mut new) {
        (Some(Item::Value(old)), Item::Value(new)) => {
            *new.decor_mut() = old.decor().clone();
            *old = new.clone();
        }
        (Some(old), _) => *old = new,
        (None, _) => drop(table.insert(key, new)),
    }
}

fn remove(root: &mut Item, path: &[String]) -> Option<()> {
    let (last, around) = path.split_last()?;
    let mut item = root;
    for key in around {
        item = item.as_table_like_mut()?.get_mut(key)?;
    }
    item.as_table_like_mut()?.remove(last).map(drop)
}

/// Whether a table of this path is one with a header, as files have them: others stand in braces.
fn has_header(path: &[String]) -> bool {
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    matches!(path[..], [_] | ["ports" | "mirrors", _] | ["qos", "profiles"] | ["qos", "profiles", _])
}

/// A table whose header is written only where it has keys of its own.
fn unseen() -> Table {
    let mut table = Table::new();
    table.set_implicit(true);
    table
}

/// Adds a static entry of the FDB in the form that the text has them in.
pub(super) fn add_static(document: &mut DocumentMut, entry: InlineTable) {
    let fdb = document.entry("fdb").or_insert_with(|| Item::Table(unseen()));
    // What stands in braces can't hold a table with a header.
    let new = match fdb.is_inline_table() {
        true => Item::Value(Array::new().into()),
        false => Item::ArrayOfTables(ArrayOfTables::new()),
    };
    let Some(fdb) = fdb.as_table_like_mut() else { return };
    match fdb.entry("static").or_insert(new) {
        Item::ArrayOfTables(entries) => entries.push(entry.into_table()),
        Item::Value(Value::Array(entries)) => entries.push(entry),
        _ => {}
    }
}

/// Keeps the static entries that are wanted. Returns how many went.
pub(super) fn retain_statics(document: &mut DocumentMut, wanted: impl Fn(&dyn TableLike) -> bool) -> usize {
    let fdb = document.get_mut("fdb").and_then(Item::as_table_like_mut);
    let statics = fdb.and_then(|fdb| fdb.get_mut("static"));
    match statics {
        Some(Item::ArrayOfTables(entries)) => {
            let before = entries.len();
            entries.retain(|entry| wanted(entry));
            before - entries.len()
        }
        Some(Item::Value(Value::Array(entries))) => {
            let before = entries.len();
            entries.retain(|entry| entry.as_inline_table().is_none_or(|entry| wanted(entry)));
            before - entries.len()
        }
        _ => 0,
    }
}

/// Takes a port out of the mirrors that copy it among others, and out with it those that copy nothing else or
/// to it.
pub(super) fn forget_mirrored(document: &mut DocumentMut, port: &str) {
    let Some(mirrors) = document.get_mut("mirrors").and_then(Item::as_table_like_mut) else { return };
    let is_port = |value: &Value| value.as_str() == Some(port);
    let mut ends = Vec::new();
    for (name, mirror) in mirrors.iter_mut() {
        let to = mirror.get("to").and_then(|to| to.get("port")).and_then(Item::as_value);
        let mut ended = to.is_some_and(is_port);
        let ports =
            mirror.get_mut("from").and_then(|from| from.get_mut("ports")).and_then(Item::as_array_mut);
        if let Some(ports) = ports {
            ports.retain(|value| !is_port(value));
            ended |= ports.is_empty();
        }
        ends.extend(ended.then(|| name.get().to_owned()));
    }
    for name in ends {
        mirrors.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(keys: &str) -> Vec<String> {
        keys.split('.').map(str::to_owned).collect()
    }

    fn edited(text: &str, edits: &[(&str, Option<&str>)]) -> String {
        let mut document: DocumentMut = text.parse().unwrap();
        for (keys, value) in edits {
            let edit = match value {
                Some(value) => Edit::Set(path(keys), value.parse().unwrap()),
                None => Edit::Remove(path(keys)),
            };
            edit.apply(&mut document).unwrap();
        }
        document.to_string()
    }

    #[test]
    fn a_port_that_goes_leaves_the_mirrors() {
        let file = "[mirrors.one]\nfrom = { ports = [\"a\"] }\nto = { port = \"c\" }\n\
                    [mirrors.two]\nfrom = { ports = [\"a\", \"b\"] }\nto = { port = \"c\" }\n\
                    [mirrors]\nthree = { from = { vlan = 1 }, to = { port = \"a\" } }\n";
        let mut document: DocumentMut = file.parse().unwrap();
        forget_mirrored(&mut document, "a");
        let left = document["mirrors"].as_table().unwrap();
        assert_eq!(left.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["two"]);
        assert_eq!(left["two"]["from"]["ports"].as_array().unwrap().len(), 1);
    }

    const FILE: &str = "# the lab's\n[ports.a]      # first\ndevice = \"net_null0\"\nmtu = 1500 # as everywhere\n\
                        vlan = { mode = \"access\", vid = 1 }\n";

    #[test]
    fn comments_and_order_stay() {
        assert_eq!(
            edited(FILE, &[("ports.a.mtu", Some("9000")), ("ports.a.vlan.vid", Some("7"))]),
            FILE.replace("1500 #", "9000 #").replace("vid = 1", "vid = 7")
        );
        assert_eq!(edited(FILE, &[("ports.a.mtu", None)]), FILE.replace("mtu = 1500 # as everywhere\n", ""));
    }

    #[test]
    fn sections_get_headers_and_what_is_below_them_braces() {
        let text = edited(
            FILE,
            &[
                ("ports.b", Some("{ device = \"net_null1\" }")),
                ("qos.profiles.gold", Some("{ traffic_classes = 4 }")),
                ("qos.profiles.gold.egress_rate.rate", Some("\"1Gbit\"")),
                ("ports.b.qos.profile", Some("\"gold\"")),
                ("switch.cores", Some("[1]")),
            ],
        );
        for part in [
            "[ports.b]\ndevice = \"net_null1\"\nqos = { profile = \"gold\" }\n",
            "[qos.profiles.gold]\ntraffic_classes = 4\negress_rate = { rate = \"1Gbit\" }\n",
            "[switch]\ncores = [1]\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        let mut document: DocumentMut = FILE.parse().unwrap();
        let set = |keys| Edit::Set(path(keys), 1.into());
        for edit in [set("ports.a.mtu.x"), Edit::Remove(path("ports.b")), Edit::Remove(Vec::new())] {
            assert!(edit.clone().apply(&mut document).is_err(), "{edit:?}");
        }
        assert_eq!(document.to_string(), FILE);
    }

    #[test]
    fn static_entries_come_in_the_form_that_is_there() {
        let entry =
            |text: &str| -> InlineTable { text.parse::<Value>().unwrap().as_inline_table().unwrap().clone() };
        for (text, wanted) in [
            ("[fdb]\nstatic = [{ vlan = 1 }]\n", "[fdb]\nstatic = [{ vlan = 1 }, { vlan = 2 }]\n"),
            ("[[fdb.static]]\nvlan = 1\n", "[[fdb.static]]\nvlan = 1\n\n[[fdb.static]]\nvlan = 2\n"),
            ("", "[[fdb.static]]\nvlan = 2\n"),
            ("fdb = { capacity = 1024 }\n", "fdb = { capacity = 1024 , static = [{ vlan = 2 }] }\n"),
            (
                "[fdb]\ncapacity = 1024\n[ports.a]\nmtu = 1500\n",
                "[fdb]\ncapacity = 1024\n\n[[fdb.static]]\nvlan = 2\n[ports.a]\nmtu = 1500\n",
            ),
        ] {
            let mut document: DocumentMut = text.parse().unwrap();
            assert_eq!(retain_statics(&mut document, |_| true), 0);
            add_static(&mut document, entry("{ vlan = 2 }"));
            assert_eq!(document.to_string(), wanted);
            let is = |entry: &dyn TableLike| entry.get("vlan").and_then(Item::as_integer) != Some(2);
            assert_eq!(retain_statics(&mut document, is), 1);
        }
    }
}
