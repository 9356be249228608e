//! The report's page in a real browser; needs Chromium (`just test-system`).

use crate::common;
use crate::world;
use std::{path::Path, process::Command};

use common::ncaers;
use world::World;

/// Chromium under any of its names.
fn chromium() -> Command {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let runs = |name: &&&str| Command::new(name).arg("--version").output().is_ok();
    let name = names.iter().find(runs).expect("chromium is installed by `just test-system`");
    let mut command = Command::new(name);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]);
    command
}

fn report(world: &World) {
    ncaers()
        .arg("report")
        .arg(world.runs())
        .args(["--title", "Browser test", "--manifest"])
        .arg(world.manifest())
        .arg("--out")
        .arg(world.out())
        .assert()
        .success();
}

/// Loads the page at a width after `script` was put behind the page's own, and returns the
/// document as it then stands and what the console said.
fn visit(folder: &Path, width: u32, script: &str) -> (String, String) {
    let page = std::fs::read_to_string(folder.join("index.html")).expect("page");
    let page = page.replace("</body>", &format!("<script>{script}</script></body>"));
    let visited = folder.join(format!("visited-{width}.html"));
    std::fs::write(&visited, page).expect("write");
    let profile = tempfile::tempdir().expect("temp dir");
    let out = chromium()
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},900"))
        .arg("--dump-dom")
        .arg(format!("file://{}", visited.display()))
        .output()
        .expect("chromium runs");
    let console = String::from_utf8_lossy(&out.stderr);
    let console: Vec<_> = console.lines().filter(|l| l.contains("CONSOLE")).collect();
    (String::from_utf8_lossy(&out.stdout).into_owned(), console.join("\n"))
}

/// What the script wrote into `document.title`.
fn title(dom: &str) -> &str {
    let rest = dom.split("<title>").nth(1).expect("a title");
    rest.split("</title>").next().expect("closed")
}

#[test]
#[ignore = "needs chromium; run by `just test-system`"]
fn loads_at_every_width_without_a_word_on_the_console() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("none", 1, |i| i % 20 < 5);
    report(&world);
    for width in [360, 1280, 1920] {
        // Chromium makes no window narrower than 500 pixels, so the body is told its width.
        let overflow = format!(
            "document.body.style.width = '{width}px'; document.title = document.body.scrollWidth - {width}"
        );
        let (dom, console) = visit(&world.out(), width, &overflow);
        assert_eq!(console, "", "at {width} px");
        assert!(dom.contains("data-ready=\"yes\""), "the script did not end at {width} px");
        assert!(
            title(&dom).parse::<i64>().expect("a number") <= 0,
            "{} at {width} px",
            title(&dom)
        );
    }
}

#[test]
#[ignore = "needs chromium; run by `just test-system`"]
fn a_cell_shows_the_samples_behind_it() {
    let world = World::new();
    // Anger: samples 0..12 right, 12..20 wrong.
    world.run("gla", 1, |i| i % 20 < 12);
    report(&world);
    let click = "document.querySelector('#confusion-0 [data-target=\"0\"][data-predicted=\"0\"]').click();\
        document.title = [...document.querySelectorAll('#confusion-0-samples li')].map(e => e.dataset.sample).sort().join(' ')";
    let (dom, console) = visit(&world.out(), 1280, click);
    let expected: Vec<_> =
        (0..12).map(|i| format!("test/Anger/{:04}/{:03}", i / 2, i % 2)).collect();
    assert_eq!(title(&dom), expected.join(" "), "{console}");
    assert!(dom.contains("thumbs/00000.jpg"));
}

#[test]
#[ignore = "needs chromium; run by `just test-system`"]
fn two_models_chosen_from_the_lists_are_compared() {
    let world = World::new();
    world.run("ca", 1, |i| i % 20 < 10);
    world.run("gla", 1, |i| (5..19).contains(&(i % 20)));
    world.run("none", 1, |i| i % 20 < 5);
    report(&world);
    let choose = "const set = (id, v) => { const e = document.getElementById(id); e.value = v; e.dispatchEvent(new Event('change')); };\
        set('model-a', '1'); set('model-b', '0');\
        document.title = [...document.querySelectorAll('#comparison tr')].slice(0, 6).map(r => r.cells[1].textContent).join(' | ')";
    let (dom, console) = visit(&world.out(), 1280, choose);
    // Runs in the paper's order: 0 none, 1 ca, 2 gla. Of every 20: both 0..5, only ca 5..10, neither 10..20.
    assert_eq!(title(&dom), "50.00 % | 25.00 % | 35 | 35 | 0 | 70", "{console}");
    let exchange = "const set = (id, v) => { const e = document.getElementById(id); e.value = v; e.dispatchEvent(new Event('change')); };\
        set('model-a', '0'); set('model-b', '1');\
        document.title = document.querySelector('#comparison tr:nth-child(7) td').textContent";
    let (dom, console) = visit(&world.out(), 1280, exchange);
    assert!(title(&dom).starts_with("-25.00 ["), "{} {console}", title(&dom));
}

#[test]
#[ignore = "needs chromium; run by `just test-system`"]
fn tables_sort_by_value() {
    let world = World::new();
    world.run("a", 1, |i| i % 20 < 9);
    world.run("b", 1, |i| i % 20 < 20);
    world.run("c", 1, |i| i % 20 < 3);
    report(&world);
    let sort = "const b = document.querySelectorAll('#table-results th button')[1]; b.click();\
        document.title = [...document.querySelectorAll('#table-results tbody tr')].map(r => r.cells[0].textContent).join('')";
    let (dom, console) = visit(&world.out(), 1280, sort);
    assert_eq!(title(&dom), "cab", "{console}");
}

#[test]
#[ignore = "needs chromium; run by `just test-system`"]
fn twenty_thousand_predictions_open_in_two_seconds() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("none", 1, |i| i % 20 < 5);
    report(&world);
    let page = world.out().join("index.html");
    let text = std::fs::read_to_string(&page).expect("page");
    std::fs::write(&page, World::enlarged(&text, 20_000)).expect("write");
    let load = |_| {
        let (dom, console) =
            visit(&world.out(), 1280, "document.title = Math.round(performance.now())");
        assert_eq!(console, "");
        title(&dom).parse::<u64>().expect("a number")
    };
    // The best of three: other tests use the same processors.
    let milliseconds = (0..3).map(load).min().expect("three loads");
    assert!(milliseconds < 2000, "{milliseconds} ms until the script had ended");
}
