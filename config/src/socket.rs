//! Who may use a socket that we listen on.

use crate::tree::Node;

/// Permissions as `chmod` takes them.
pub(crate) fn mode(node: &Node<'_>) -> Option<u32> {
    const CURE: &str = "write it as chmod takes it, as in \"0660\"";
    let text = node.text(CURE)?;
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal && mode <= 0o777 => Some(mode),
        _ => node.refuse(format!("`{}` are no permissions of a socket", node.path()), CURE),
    }
}

/// A group by its name or number.
pub(crate) fn group(node: &Node<'_>) -> Option<String> {
    node.text("write a group's name or number, as in \"kvm\"").map(str::to_owned)
}
