//! The library as a program of somebody else uses it: the example runs and tells the two models apart.
#[path = "../../examples/library.rs"]
#[allow(dead_code, reason = "its main is not called here")]
mod example;

#[test]
fn the_example_goes_from_pictures_to_a_comparison() {
    let folder = tempfile::tempdir().expect("a folder");
    let findings = example::run(folder.path()).expect("runs");
    assert_eq!(findings.samples, 84);
    assert_eq!(findings.leak, Some(0.0));
    let [(careful, a), (careless, b)] = &findings.accuracies[..] else {
        panic!("{:?}", findings.accuracies)
    };
    assert_eq!((careful.as_str(), careless.as_str()), ("careful", "careless"));
    assert!((a - 0.8).abs() < 0.05 && (b - 0.5).abs() < 0.05, "{a} {b}");
    assert!(findings.comparison.contains("careful"), "{}", findings.comparison);
}
