//! Commands from files.

use std::path::Path;

use super::grammar::Command;
use super::run::Local;

/// How deep files may load files.
const MAX_DEPTH: usize = 8;

/// How many commands may come of a script.
const MAX_COMMANDS: usize = 100_000;

/// A command of a script, and where it stands.
#[derive(Debug)]
pub struct Step {
    /// The command; never `load`.
    pub command: Command,
    /// The file and the line, or nothing if the whole script is one line.
    pub place: String,
}

/// Reads a script, and the files that it loads, before anything of it is run. A `quit` ends the file that it stands
/// in.
///
/// # Errors
///
/// The first line that is no command, with its place.
pub fn read(text: &[u8], name: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    collect(text, name, 0, &mut steps)?;
    Ok(steps)
}

/// Reads a file of commands.
///
/// # Errors
///
/// It can't be read, or a line is no command.
pub fn load(path: &Path) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    load_at(path, 0, &mut steps)?;
    Ok(steps)
}

fn load_at(path: &Path, depth: usize, steps: &mut Vec<Step>) -> Result<(), String> {
    let name = path.display().to_string();
    let text = std::fs::read(path);
    let text =
        text.map_err(|error| format!("{name}: can't be read: {error}; name a readable file of commands"))?;
    collect(&text, &name, depth, steps)
}

fn collect(text: &[u8], name: &str, depth: usize, steps: &mut Vec<Step>) -> Result<(), String> {
    let lines: Vec<_> = text.split(|&octet| octet == b'\n').collect();
    let single = name.is_empty() && lines.iter().skip(1).all(|line| line.trim_ascii().is_empty());
    for (number, line) in lines.iter().enumerate() {
        let place = match name {
            _ if single => String::new(),
            "" => format!("line {}: ", number + 1),
            name => format!("{name}:{}: ", number + 1),
        };
        let line = std::str::from_utf8(line).map_err(|_| format!("{place}this is no UTF-8 text"))?;
        let command = Command::parse(line).map_err(|error| format!("{place}{error}"))?;
        let Some(command) = command else { continue };
        match command.local() {
            Some(Local::Quit) => return Ok(()),
            Some(Local::Load) if depth == MAX_DEPTH => {
                return Err(format!(
                    "{place}files load files more than {MAX_DEPTH} deep; does one load itself?"
                ));
            }
            Some(Local::Load) => {
                let file = command.args.get("FILE").unwrap_or_default();
                load_at(Path::new(file), depth + 1, steps).map_err(|error| format!("{place}{error}"))?;
            }
            _ => steps.push(Step { command, place }),
        }
        if steps.len() > MAX_COMMANDS {
            return Err(format!("{name}: more than {MAX_COMMANDS} commands: divide them"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_load_files_but_not_for_ever() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("b"), "# b\nshow vhost\nquit\nnonsense\n").unwrap();
        std::fs::write(path("a"), format!("start\nload {}\nstop\n", path("b").display())).unwrap();
        let steps = load(&path("a")).unwrap();
        let syntaxes: Vec<_> = steps.iter().map(|step| step.command.entry.syntax).collect();
        assert_eq!(syntaxes, ["start", "show vhost [PORT|all]", "stop"]);
        assert_eq!(steps[1].place, format!("{}:2: ", path("b").display()));

        std::fs::write(path("loop"), format!("load {}\n", path("loop").display())).unwrap();
        assert!(load(&path("loop")).unwrap_err().contains("does one load itself?"));
        std::fs::write(path("bad"), "start\nstrat\n").unwrap();
        let error = load(&path("bad")).unwrap_err();
        assert!(error.contains("bad:2: `strat` can't stand here: did you mean `start`?"), "{error}");
        assert!(load(&path("nothing")).unwrap_err().contains("can't be read"));
        assert_eq!(read(b"start\n\xff\n", "").unwrap_err(), "line 2: this is no UTF-8 text");
        assert!(read(b"strat\n", "").unwrap_err().starts_with("`strat` can't"));
    }
}
