//! The page in headless Chromium: every plot is there and drawn, nothing is complained of, and light and dark differ.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use tempfile::TempDir;

use crate::report::compare::Comparison;
use crate::report::html::{comparison_page, page};
use crate::report::sample::{changed, sample};

/// How long a browser may take; it takes a second or two where nothing else runs.
const PATIENCE: Duration = Duration::from_secs(600);

/// A folder with a page and the browser's own files.
struct Browser {
    folder: TempDir,
}

impl Browser {
    fn new(page: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("pollux-report-").tempdir().unwrap();
        fs::write(folder.path().join("page.html"), page).unwrap();
        Self { folder }
    }

    /// Opens the page, and returns what the browser wrote to its output, and what to its log.
    fn open(&self, args: &[&str]) -> (String, String) {
        let path = self.folder.path();
        let file = |name: &str| File::create(path.join(name)).unwrap();
        let mut command = Command::new("chromium");
        command
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
            .args(["--disable-dev-shm-usage", "--enable-logging=stderr", "--v=0"])
            .arg(format!("--user-data-dir={}", path.join("profile").display()))
            .args(args)
            .arg(format!("file://{}", path.join("page.html").display()))
            .stdin(Stdio::null())
            .stdout(file("output"))
            .stderr(file("log"))
            .process_group(0);
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("chromium: {error}; run scripts/setup.sh test"));
        let group = Pid::from_raw(child.id().try_into().unwrap());
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if Instant::now() > end => break None,
                None => thread::sleep(Duration::from_millis(20)),
            }
        };
        // What it started ends with it, if it hasn't by itself.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.wait();
        let read = |name: &str| String::from_utf8_lossy(&fs::read(path.join(name)).unwrap()).into_owned();
        let log = read("log");
        assert!(status.is_some_and(|status| status.success()), "chromium: {status:?}\n{log}");
        (read("output"), log)
    }

    /// What the page's console says, errors of all kinds among it.
    fn complaints(&self) -> Vec<String> {
        let (dom, log) = self.open(&["--dump-dom"]);
        assert!(dom.contains("<h1>"), "{log}");
        log.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect()
    }

    /// A picture of the page's beginning, its pixels as red, green, blue.
    fn picture(&self, dark: bool) -> Vec<[u8; 3]> {
        let path = self.folder.path().join("picture.png");
        let scheme = format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 });
        let shot = format!("--screenshot={}", path.display());
        self.open(&[&scheme, &shot, "--window-size=1400,7000"]);
        pixels(&path)
    }
}

fn pixels(path: &Path) -> Vec<[u8; 3]> {
    let decoder = png::Decoder::new(std::io::BufReader::new(File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut buffer).unwrap();
    assert_eq!((info.width, info.height, info.bit_depth), (1400, 7000, png::BitDepth::Eight));
    let channels = info.color_type.samples();
    assert!(channels >= 3);
    buffer.chunks_exact(channels).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

/// What a figure is on the screen, with everything unfolded.
#[derive(Debug, Deserialize)]
struct Drawn {
    id: String,
    width: f64,
    height: f64,
    /// Lines of series that have a length.
    lines: usize,
    /// Bars that have a height.
    bars: usize,
    texts: usize,
    /// Texts that reach beyond the drawing.
    outside: Vec<String>,
    /// The title and the description that it is told by.
    told: usize,
    rows: usize,
}

#[derive(Debug, Deserialize)]
struct Layout {
    figures: Vec<Drawn>,
    /// The page's width, and the window's.
    page: f64,
    window: f64,
}

/// Measures in the page itself: a copy of it gets this script, and leave to run it, in a frame that is as wide as it
/// should be, since no window is as narrow as a telephone.
const SCRIPT: &str = r#"<script>
document.querySelectorAll("details").forEach(details => details.open = true);
const figures = [...document.querySelectorAll("figure")].map(figure => {
  const svg = figure.querySelector("svg.plot"), frame = svg.getBoundingClientRect();
  const all = (what, is) => [...svg.querySelectorAll(what)].filter(is);
  const box = element => element.getBoundingClientRect();
  const texts = all("text", text => text.textContent.trim());
  return {
    id: figure.id, width: frame.width, height: frame.height,
    lines: all("polyline[stroke-width='9']", line => line.getTotalLength() > 10).length,
    bars: all("rect", bar => box(bar).height > 0.5 && box(bar).width > 1).length,
    texts: texts.length,
    outside: texts.filter(text => box(text).left < frame.left - 1 || box(text).right > frame.right + 1)
      .map(text => text.textContent.trim()),
    told: svg.getAttribute("aria-labelledby").split(" ")
      .filter(id => document.getElementById(id).textContent.trim()).length,
    rows: figure.querySelectorAll("tbody tr").length,
  };
});
const measured = document.createElement("pre");
measured.id = "measured";
measured.textContent = JSON.stringify(
  { figures, page: document.documentElement.scrollWidth, window: window.innerWidth });
parent.document.body.append(measured);
</script></body>"#;

fn layout(page: &str, width: u32) -> Layout {
    let allowed = page.replace("default-src 'none';", "script-src 'unsafe-inline';");
    assert_ne!(allowed, page);
    let measuring = allowed.replace("</body>", SCRIPT).replace('&', "&amp;").replace('"', "&quot;");
    let framed = format!(
        "<!DOCTYPE html><html><body><iframe style=\"width:{width}px;height:1000px;border:0\" srcdoc=\"{measuring}\">\
         </iframe></body></html>"
    );
    let (dom, log) = Browser::new(&framed).open(&["--dump-dom", "--window-size=1800,1200"]);
    // The copy itself is in an attribute, where it has other quotes.
    let (_, rest) = dom.split_once("<pre id=\"measured\">").unwrap_or_else(|| panic!("not measured\n{log}"));
    let (json, _) = rest.split_once("</pre>").unwrap();
    let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&json).unwrap()
}

/// The plots that the sample has to have: what they are called, how many series they have, and whether these are bars.
const PLOTS: [(&str, usize, bool); 19] = [
    ("plot-frames-vhost-vhost-l2-1-1", 5, false),
    ("plot-bits-vhost-vhost-l2-1-1", 5, false),
    ("plot-peers-ndr-vhost-vhost-l2-1-1", 4, true),
    ("plot-peers-forwarding-rate-vhost-vhost-l2-1-1", 4, true),
    ("plot-fdb-vhost-vhost-l2-64b-1", 5, false),
    ("plot-loss-64b-1c-vhost-vhost-l2-1mac-loss", 5, false),
    ("plot-loss-512b-1c-vhost-vhost-l2-1mac-loss", 5, false),
    ("plot-loss-1518b-1c-vhost-vhost-l2-1mac-loss", 5, false),
    ("plot-percentiles-64b-1c-vhost-vhost-l2-1mac-latency--at-10", 5, false),
    ("plot-percentiles-64b-1c-vhost-vhost-l2-1mac-latency--at-50", 5, false),
    ("plot-percentiles-64b-1c-vhost-vhost-l2-1mac-latency--at-90", 5, false),
    ("plot-percentiles-64b-1c-vhost-vhost-l2-1mac-latency--at-100", 5, false),
    ("plot-latency-at-10-64b-1c-vhost-vhost-l2-1mac-latency", 5, false),
    ("plot-latency-at-50-64b-1c-vhost-vhost-l2-1mac-latency", 5, false),
    ("plot-latency-at-90-64b-1c-vhost-vhost-l2-1mac-latency", 5, false),
    ("plot-latency-at-100-64b-1c-vhost-vhost-l2-1mac-latency", 5, false),
    ("plot-shares-pollux-512b-1c-vhost-vhost-l2-8mac-shares", 2, true),
    ("plot-received-64b-1c-vhost-vhost-l2-1mac-recovery", 5, false),
    ("plot-received-64b-1c-vhost-vhost-l2-1mac-reset", 5, false),
];

/// What is wrong with the plots.
fn faults(layout: &Layout) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, series, bars) in PLOTS {
        match layout.figures.iter().find(|figure| figure.id == id) {
            None => faults.push(format!("no {id}")),
            Some(figure) if bars && figure.bars < series => faults.push(format!("bars: {figure:?}")),
            Some(figure) if !bars && figure.lines != series => faults.push(format!("lines: {figure:?}")),
            Some(_) => {}
        }
    }
    for figure in &layout.figures {
        let drawn = figure.width > 250.0 && figure.height > 150.0 && figure.texts > 5;
        if !drawn || figure.told != 2 || figure.rows == 0 || !figure.outside.is_empty() {
            faults.push(format!("{figure:?}"));
        }
    }
    if layout.page > layout.window {
        faults.push(format!("{} wide in a window of {}", layout.page, layout.window));
    }
    faults
}

#[test]
fn every_plot_is_drawn_in_narrow_and_wide_windows() {
    let page = page(&sample()).unwrap();
    for width in [400, 1600] {
        let layout = layout(&page, width);
        assert_eq!(layout.window, f64::from(width));
        assert_eq!(faults(&layout), Vec::<String>::new(), "{width}");
    }
}

#[test]
fn a_plot_that_is_missing_or_empty_is_found() {
    let page = page(&sample()).unwrap();
    let gone = page.replace("id=\"plot-bits-vhost-vhost-l2-1-1\"", "id=\"another\"");
    assert_eq!(faults(&layout(&gone, 1600)), ["no plot-bits-vhost-vhost-l2-1-1"]);

    let start = page.find("<figure id=\"plot-bits").unwrap();
    let line = start + page[start..].find("<svg class=\"plot\"").unwrap();
    let line = line + page[line..].find(" stroke-width=\"9\" points=\"").unwrap();
    let end = line + page[line..].find("/>").unwrap();
    let empty = format!("{} stroke-width=\"9\" points=\"\"{}", &page[..line], &page[end..]);
    let faults = faults(&layout(&empty, 1600));
    assert!(faults.len() == 1 && faults[0].starts_with("lines: Drawn { id: \"plot-bits"), "{faults:?}");
}

#[test]
fn the_browser_complains_of_nothing() {
    let report = sample();
    let worse = changed(|_, _, value| value * 0.9);
    let comparison = comparison_page(&Comparison::of(&report, &worse)).unwrap();
    let page = page(&report).unwrap();
    for page in [&page, &comparison] {
        assert_eq!(Browser::new(page).complaints(), Vec::<String>::new());
    }
    // Complaints would be seen: of an error in a script, and of something from elsewhere.
    let foreign = page.replace("</main>", "<img src=\"http://127.0.0.1:9/x.png\"></main>");
    assert!(!Browser::new(&foreign).complaints().is_empty());
    let allowed = page.replace("default-src 'none';", "script-src 'unsafe-inline';");
    let broken = allowed.replace("</main>", "</main><script>nothing.there()</script>");
    assert!(!Browser::new(&broken).complaints().is_empty());
}

#[test]
fn light_and_dark_are_two_pictures_of_the_same() {
    let browser = Browser::new(&page(&sample()).unwrap());
    let [light, dark] = [false, true].map(|dark| browser.picture(dark));
    let brightness = |picture: &[[u8; 3]]| {
        let sum: u64 = picture.iter().flatten().map(|part| u64::from(*part)).sum();
        sum as f64 / (3 * picture.len()) as f64
    };
    assert!(brightness(&light) > 200.0 && brightness(&dark) < 80.0);
    // Of each system's colour there is something in both: lines and bars are painted.
    for (picture, colours) in [
        (
            &light,
            [
                [0x00, 0x72, 0xB2],
                [0xE6, 0x9F, 0x00],
                [0xD5, 0x5E, 0x00],
                [0x00, 0x9E, 0x73],
                [0xCC, 0x79, 0xA7],
            ],
        ),
        (
            &dark,
            [
                [0x4D, 0xA8, 0xE0],
                [0xF0, 0xB4, 0x3C],
                [0xF0, 0x83, 0x44],
                [0x2F, 0xC7, 0x9B],
                [0xE0, 0x9C, 0xC2],
            ],
        ),
    ] {
        for colour in colours {
            let painted = picture.iter().filter(|pixel| **pixel == colour).count();
            assert!(painted > 100, "{colour:02x?}: {painted}");
        }
    }
}
