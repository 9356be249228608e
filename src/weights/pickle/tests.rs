//! Pickles as bytes, and what becomes of them.
use super::*;

fn fault(bytes: &[u8]) -> Fault {
    Pickle::read(bytes).map(|(pickle, _)| format!("{pickle:?}")).expect_err("refused")
}

#[test]
fn a_dictionary_of_numbers() {
    let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x07X\x01\x00\x00\x00b\x8a\x01\xffu.rest";
    let (pickle, end) = Pickle::read(bytes).expect("reads");
    assert_eq!(end, bytes.len() - 4);
    let dict = pickle.dict(&pickle.value).expect("a dictionary");
    assert_eq!(dict[0], (Value::Text("a".into()), Value::Int(7)));
    assert_eq!(dict[1], (Value::Text("b".into()), Value::Int(-1)));
}

#[test]
fn calls_that_run_code_are_refused() {
    for (bytes, global) in [
        (&b"cos\nsystem\n(S'touch x'\ntR."[..], "os.system"),
        (b"\x80\x02cposix\nsystem\nq\x00.", "posix.system"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "builtins.eval"),
        (b"(S'x'\nios\npopen\n.", "os.popen"),
        (b"cos.path\njoin\n.", "os.path.join"),
        (b"\x80\x02cimportlib._bootstrap\n_load\n.", "importlib._bootstrap._load"),
    ] {
        assert_eq!(fault(bytes), Fault::Hostile(global.to_owned()));
    }
}

#[test]
fn unknown_calls_are_inert() {
    let (pickle, _) = Pickle::read(b"c__main__\nMeter\n)R}b.").expect("reads");
    assert_eq!(pickle.value, Value::Instance("__main__.Meter".into()));
}

#[test]
fn nothing_cut_off_is_read() {
    let whole = b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x07X\x01\x00\x00\x00b\x8a\x01\xffu.";
    for end in 0..whole.len() {
        assert!(matches!(fault(&whole[..end]), Fault::Damaged(_)), "{end}");
    }
    for bytes in
        [&b"."[..], b"u.", b"h\x01.", b"R.", b"\xff", b"X\xff\xff\xff\xff", b"(a.", b"]N}s."]
    {
        let _ = fault_or_value(bytes);
    }
}

fn fault_or_value(bytes: &[u8]) -> bool {
    Pickle::read(bytes).is_ok()
}

#[test]
fn deep_nesting_and_cycles_do_no_harm() {
    let mut deep = b"]".repeat(300_000);
    deep.extend(b"a".repeat(299_999));
    deep.push(b'.');
    Pickle::read(&deep).expect("reads");
    Pickle::read(b"]q\x00h\x00a.").expect("a list that holds itself");
}
