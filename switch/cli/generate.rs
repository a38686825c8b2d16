//! What packages carry beside the binary, made from the arguments that it takes.

use std::fs::create_dir_all;
use std::io::Result;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, Outcome};

#[derive(Debug, clap::Subcommand)]
pub(super) enum GenerateCommand {
    /// Writes a manual page for each command
    Man(Folder),
    /// Writes completions for bash, fish and zsh
    Completions(Folder),
}

#[derive(Debug, clap::Args)]
pub(super) struct Folder {
    /// Where to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn generate(command: &GenerateCommand) -> Outcome {
    let (folder, written) = match command {
        GenerateCommand::Man(Folder { folder }) => (folder, man(folder)),
        GenerateCommand::Completions(Folder { folder }) => (folder, completions(folder)),
    };
    match written {
        Ok(()) => Outcome::Done,
        Err(error) => {
            eprintln!("{}: can't be written: {error}; name a folder that can", folder.display());
            Outcome::Failed
        }
    }
}

fn man(folder: &Path) -> Result<()> {
    create_dir_all(folder)?;
    clap_mangen::generate_to(Arguments::command().disable_help_subcommand(true), folder)
}

/// A command without those below it that are hidden: completions would offer them, as pages don't.
fn shown(command: &Command) -> Command {
    let below = command.get_subcommands().filter(|one| !one.is_hide_set()).map(shown);
    let mut bare = Command::new(command.get_name().to_owned()).args(command.get_arguments().cloned());
    if let Some(about) = command.get_about() {
        bare = bare.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        bare = bare.version(version.to_owned());
    }
    bare.subcommands(below)
}

fn completions(folder: &Path) -> Result<()> {
    create_dir_all(folder)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut shown(&Arguments::command()), "pollux", folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_a_page_and_what_is_hidden_is_offered_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        man(folder.path()).unwrap();
        completions(folder.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let command = Arguments::command();
        for one in command.get_subcommands() {
            let page = folder.path().join(format!("pollux-{}.1", one.get_name()));
            assert_eq!(page.exists(), !one.is_hide_set(), "{}", page.display());
        }
        assert!(read("pollux-run.1").contains("stats\\-interval"));
        for shell in ["pollux.bash", "pollux.fish", "_pollux"] {
            let text = read(shell);
            assert!(text.contains("stats-interval"), "{shell}");
            assert!(!text.contains("demo-end") && !text.contains("completions"), "{shell}");
        }
    }
}
