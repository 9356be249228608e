//! The report's page in a real browser; needs Chromium (`just test-system`).

use crate::common;
use crate::world;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

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
    let profile = tempfile::tempdir().expect("temp dir");
    visit_as(profile.path(), &[], folder, width, script)
}

/// The same in a browser that keeps what it learns in `profile`, with more flags.
fn visit_as(
    profile: &Path,
    flags: &[&str],
    folder: &Path,
    width: u32,
    script: &str,
) -> (String, String) {
    let page = std::fs::read_to_string(folder.join("index.html")).expect("page");
    let page = page.replace("</body>", &format!("<script>{script}</script></body>"));
    let visited = folder.join(format!("visited-{width}.html"));
    std::fs::write(&visited, page).expect("write");
    let out = chromium()
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(flags)
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

/// Faults that axe-core finds in a page as it stands after `script`; its source is named by
/// `NCAERS_AXE` (`just test-system` fetches it).
fn faults(folder: &Path, script: &str) -> Vec<String> {
    let axe = std::env::var("NCAERS_AXE").expect("NCAERS_AXE names axe.min.js");
    let axe = std::fs::read_to_string(axe).expect("axe-core").replace("</script", "<\\/script");
    let run = "axe.run(document, { resultTypes: ['violations'] }).then((found) => {\
        document.title = JSON.stringify(found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target}`))); });";
    let profile = tempfile::tempdir().expect("temp dir");
    let script = format!("{axe};</script><script>{script};{run}");
    // It answers later: the clock runs as fast as the script lets it.
    let waits = ["--virtual-time-budget=20000"];
    let (dom, console) = visit_as(profile.path(), &waits, folder, 1280, &script);
    let told = title(&dom).replace("&quot;", "\"").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&told).unwrap_or_else(|e| panic!("{e}: {told} {console}"))
}

#[test]
#[ignore = "needs chromium; run by `just test-system`"]
fn the_page_has_no_fault_of_accessibility() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("none", 1, |i| i % 20 < 5);
    report(&world);
    let dark = "document.documentElement.dataset.theme = 'dark'";
    let light = "document.documentElement.dataset.theme = 'light'";
    let opened = "document.querySelector('#samples-panel .open').click()";
    let cell = "document.querySelector('#confusion-0 .cell').click()";
    for script in [light, dark, opened, cell] {
        assert_eq!(faults(&world.out(), script), Vec::<String>::new(), "after {script}");
    }
}

/// An audit of the manifest, in which a picture of test also lies in train.
fn audit(world: &World) -> PathBuf {
    let out = world.out().with_file_name("audit");
    ncaers().arg("audit").arg(world.manifest()).arg("--out").arg(&out).assert().success();
    out
}

#[test]
#[ignore = "needs chromium; run by `just test-system`"]
fn neither_have_the_audit_and_the_report_on_two_data_sets() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("none", 1, |i| i % 20 < 5);
    let audit = audit(&world);
    let of = |part: &str, path: &Path| format!("{part}={}", path.display());
    ncaers()
        .arg("report")
        .args(["CAER-S", "NCAER-S"].map(|part| of(part, &world.runs())))
        .args(["--manifest", &of("CAER-S", &world.manifest())])
        .args(["--audit", &of("CAER-S", &audit), "--out"])
        .arg(world.out())
        .assert()
        .success();
    for folder in [&audit, &world.out(), &world.out().join("caer-s")] {
        for theme in ["light", "dark"] {
            let script = format!("document.documentElement.dataset.theme = '{theme}'");
            assert_eq!(
                faults(folder, &script),
                Vec::<String>::new(),
                "{} {theme}",
                folder.display()
            );
        }
    }
}

#[test]
#[ignore = "needs chromium; run by `just test-system`"]
fn a_sample_that_leaks_is_shown_beside_its_copy_in_train() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    let audit = audit(&world);
    let mut command = ncaers();
    command.arg("report").arg(world.runs()).arg("--manifest").arg(world.manifest());
    command.arg("--audit").arg(&audit).arg("--out").arg(world.out()).assert().success();
    let look = |id: &str| {
        let script = format!(
            "const set = (id, v) => {{ const e = document.getElementById(id); e.value = v; e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change')); }};\
             set('samples-kind', 'all'); set('samples-text', '{id}'); document.querySelector('#samples-panel .open').click();\
             document.title = [...document.querySelectorAll('dialog h4')].map((h) => h.textContent).join('|') + '|' + \
             [...document.querySelectorAll('dialog img')].filter((i) => i.src.includes('train-')).length"
        );
        let (dom, console) = visit(&world.out(), 1280, &script);
        assert_eq!(console, "");
        (title(&dom).to_owned(), dom)
    };
    let (told, dom) = look("test/Anger/0000/000");
    assert!(told.contains("in train, as the audit found (1)") && told.ends_with("|1"), "{told}");
    assert!(dom.contains("train/Anger/0001/000"));
    assert!(world.out().join("thumbs/train-00000.jpg").is_file());
    assert!(!look("test/Sad/0003/001").0.contains("in train"));
}

#[test]
#[ignore = "needs chromium; run by `just test-system`"]
fn a_chosen_sample_opens_and_the_arrow_keys_go_on() {
    let world = World::new();
    // Of every 20: both right 0..5, only gla 5..12, none 12..20.
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("none", 1, |i| i % 20 < 5);
    report(&world);
    let press = |key: &str| {
        format!("document.querySelector('dialog').dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}' }}));")
    };
    let look = "document.title = document.querySelector('dialog h3').textContent + ' ' \
        + document.querySelector('dialog .controls').textContent + ' ' \
        + document.querySelectorAll('dialog tbody tr').length + ' ' \
        + document.querySelectorAll('dialog .bars').length + ' ' \
        + document.querySelectorAll('dialog .samples li').length;";
    let cell =
        "document.querySelector('#confusion-0 [data-target=\"0\"][data-predicted=\"0\"]').click();\
        document.querySelector('#confusion-0-samples .open').click();";
    let at = |keys: String| {
        let (dom, console) = visit(&world.out(), 1280, &format!("{cell}{keys}{look}"));
        assert!(dom.contains("<dialog"), "{console}");
        title(&dom).to_owned()
    };
    let first = at(String::new());
    assert!(first.contains("1 of 5") && first.ends_with("close 2 2 1"), "{first}");
    assert!(at(press("ArrowRight")).contains("2 of 5"));
    assert_eq!(at(press("ArrowRight") + &press("ArrowLeft")), first);
    assert!(at(press("ArrowLeft")).contains("5 of 5"), "the list is a ring");
}

#[test]
#[ignore = "needs chromium; run by `just test-system`"]
fn lists_tell_where_models_disagree_and_the_comparison_lists_its_samples() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    world.run("none", 1, |i| i % 20 < 5);
    report(&world);
    let count = |script: &str| {
        let (dom, console) = visit(&world.out(), 1280, script);
        assert_eq!(console, "");
        title(&dom).to_owned()
    };
    let choose = |kind: &str, class: &str| {
        format!(
            "const set = (id, v) => {{ const e = document.getElementById(id); e.value = v; e.dispatchEvent(new Event('change')); }};\
             set('samples-class', '{class}'); set('samples-kind', '{kind}');\
             document.title = document.querySelector('#samples-panel p').textContent"
        )
    };
    // Models right on 5..12 of 20 disagree; wrong ones may disagree too.
    assert_eq!(count(&choose("all", "")), "140 samples");
    assert_eq!(count(&choose("all", "3")), "20 samples");
    assert_eq!(count(&choose("all-wrong", "3")), "8 samples");
    let pressed = "document.querySelector('#comparison button').click();\
        document.title = document.querySelectorAll('#comparison .samples li').length";
    assert_eq!(count(pressed), "35", "both right");
}

#[test]
#[ignore = "needs chromium; run by `just test-system`"]
fn the_chosen_colours_survive_a_reload() {
    let world = World::new();
    world.run("gla", 1, |i| i % 20 < 12);
    report(&world);
    let profile = tempfile::tempdir().expect("temp dir");
    let look = "document.title = document.documentElement.dataset.theme";
    let press = format!("document.getElementById('theme').click(); {look}");
    let (dom, _) = visit_as(profile.path(), &[], &world.out(), 1280, &press);
    assert_eq!(title(&dom), "dark");
    let (dom, _) = visit_as(profile.path(), &[], &world.out(), 1280, look);
    assert_eq!(title(&dom), "dark", "forgotten");
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
