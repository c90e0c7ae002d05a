use super::*;

/// Made by Python's `pickletools.optimize(pickle.dumps(…, protocol))` of
/// `{'a': [1, -2, 3.5, None, True], 'b': (b'xy', 'ü', 70000, -(1 << 40)), 'c': {}}` (the dictionary within is shared: `d['d'] = d['c']`).
const PROTOCOL_2: &[u8] = include_bytes!("../../../../tests/data/pytorch/protocol-2.pkl");
const PROTOCOL_4: &[u8] = include_bytes!("../../../../tests/data/pytorch/protocol-4.pkl");

fn entry(pickle: &Pickle, key: &str) -> Id {
    let Value::Dict(entries) = pickle.value(pickle.root()) else { panic!("no dictionary") };
    entries.iter().find(|(k, _)| pickle.text(*k) == Some(key)).unwrap().1
}

#[test]
fn values_are_those_that_python_wrote() {
    for (bytes, rest) in [(PROTOCOL_2, 0), (PROTOCOL_4, 3)] {
        let all = [bytes, &[7; 3][..rest]].concat();
        let (pickle, taken) = Pickle::read(&all).unwrap();
        assert_eq!(taken, bytes.len());
        let list: Vec<&Value> =
            pickle.elements(entry(&pickle, "a")).unwrap().iter().map(|id| pickle.value(*id)).collect();
        let expected = [Value::Int(1), Value::Int(-2), Value::Float(3.5), Value::None, Value::Bool(true)];
        assert_eq!(list, expected.iter().collect::<Vec<_>>());
        let tuple: Vec<&Value> =
            pickle.elements(entry(&pickle, "b")).unwrap().iter().map(|id| pickle.value(*id)).collect();
        assert_eq!(tuple[1..], [&Value::Text("ü".into()), &Value::Int(70_000), &Value::Int(-(1 << 40))]);
        assert_eq!(entry(&pickle, "c"), entry(&pickle, "d"), "a shared value is stored once");
    }
}

#[test]
fn nothing_is_called() {
    // os.system('true'), as an attacker would have it called: a name with its arguments, and nothing else.
    let (pickle, _) = Pickle::read(b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.").unwrap();
    let Value::Call { function, arguments, .. } = pickle.value(pickle.root()) else { panic!("no call") };
    assert_eq!(pickle.global(*function), Some("os.system"));
    assert_eq!(pickle.text(pickle.elements(*arguments).unwrap()[0]), Some("true"));
}

#[test]
fn what_is_no_pickle_is_told_with_its_place() {
    let broken = |bytes: &[u8]| Pickle::read(bytes).unwrap_err();
    for (bytes, at, found) in [
        (&b""[..], 0, "an end"),
        (b"\x80\x09.", 0, "protocol 9"),
        (b"\x80\x02.", 2, "empty stack"),
        (b"]K\x01s.", 3, "empty stack"),
        (b"NK\x01a.", 3, "elements for"),
        (b"}(K\x01u.", 4, "without its value"),
        (b"e.", 0, "no mark"),
        (b"h\x05.", 0, "at 5 of the memo"),
        (b"X\xff\xff\xff\xff.", 0, "an end"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", 0, "an end"),
        (b"NN\x93.", 2, "global"),
        (b"o.", 0, "0x6f"),
        // A mark guards what lies below it.
        (b"K\x01(0.", 3, "empty stack"),
    ] {
        let said = broken(bytes);
        assert!(said.at == at && said.found.contains(found), "{bytes:?}: {said:?}");
    }
    // Every beginning of a pickle ends too early.
    for n in 0..PROTOCOL_4.len() {
        assert!(Pickle::read(&PROTOCOL_4[..n]).is_err(), "{n} bytes");
    }
}
