//! A report as a file.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::model::{FORMAT, Report};
use crate::{BenchError, Result};

/// Of a report, what says whether the rest can be read.
#[derive(Deserialize)]
struct Header {
    format: u32,
}

/// Writes a report, so that there is the old file or the new one, whatever happens meanwhile.
///
/// # Errors
///
/// What the system says of the file or its folder.
pub(crate) fn save(report: &Report, path: &Path) -> Result<()> {
    let mut text =
        serde_json::to_vec_pretty(report).map_err(|error| BenchError::process("the report", error))?;
    text.push(b'\n');
    replace(path, &text)
}

/// Puts a file in the place of another at once.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = tempfile::Builder::new()
        .prefix(".report-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder);
    let mut file = made.map_err(BenchError::file(path))?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(BenchError::file(path))?;
    file.persist(path).map_err(|error| BenchError::file(path)(error.error))?;
    Ok(())
}

/// Reads a report.
///
/// # Errors
///
/// If there is no such file, if it isn't a report, or if it is one of another format.
pub(crate) fn load(path: &Path) -> Result<Report> {
    let text = fs::read(path).map_err(BenchError::file(path))?;
    let Header { format } = parse(path, &text)?;
    if format != FORMAT {
        let cure = match format > FORMAT {
            true => "read it with the version of Pollux that wrote it, or a newer one",
            false => "measure again, or read it with the version of Pollux that wrote it",
        };
        return Err(BenchError::Input(format!(
            "{}: a report of format {format}; this version reads format {FORMAT}; {cure}",
            path.display()
        )));
    }
    parse(path, &text)
}

fn parse<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| {
        let (path, line, column) = (path.display(), error.line(), error.column());
        let mut what = error.to_string();
        if let Some(end) = what.rfind(" at line ") {
            what.truncate(end);
        }
        let cure = match error.is_eof() {
            true => "the file ends too early: copy it again, whole",
            false => "give the JSON file of `pollux bench lab`, as it was written; docs/report.schema.json describes it",
        };
        BenchError::Input(format!("{path}:{line}:{column}: {what}; {cure}"))
    })
}

/// What `docs/report.schema.json` is to be.
pub(super) fn schema() -> String {
    let mut schema = schemars::schema_for!(Report);
    schema.insert("title".to_owned(), "A report of `pollux bench lab`".into());
    format!("{:#}\n", schema.as_value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    fn refusal(content: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        fs::write(&path, content).unwrap();
        let error = load(&path).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string().replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn a_report_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        let report = sample();
        save(&report, &path).unwrap();
        assert!(load(&path).unwrap() == report, "not the same");
        save(&report, &path).unwrap();
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["report.json"]);
    }

    #[test]
    fn bad_files_are_refused_with_line_and_cure() {
        let text = refusal("{\n  \"format\": 1,\n  \"title\": 5\n}");
        assert!(
            text.starts_with("report.json:3:12: invalid type: integer `5`, expected a string; give"),
            "{text}"
        );
        let text = refusal("{\n  \"format\": 1,\n");
        assert!(text.starts_with("report.json:3:0: EOF while parsing"), "{text}");
        assert!(text.ends_with("copy it again, whole"), "{text}");
        let text = refusal("{\"format\": 2}");
        assert!(text.starts_with("report.json: a report of format 2; this version reads format 1"), "{text}");
        assert!(refusal("{}").contains("missing field `format`"));
        assert!(refusal("").contains("ends too early"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load(Path::new("/nowhere/report.json")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/report.json: No such file"), "{error}");
        let error = save(&sample(), Path::new("/nowhere/report.json")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/report.json: No such file"), "{error}");
    }

    #[test]
    fn the_schema_in_docs_is_of_these_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.schema.json");
        let there: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let wanted: serde_json::Value = serde_json::from_str(&schema()).unwrap();
        assert!(
            there == wanted,
            "stale: write it anew with `pollux bench report --schema > docs/report.schema.json`"
        );
    }
}
