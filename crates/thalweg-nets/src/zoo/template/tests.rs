use super::*;

fn layout() -> Layout {
    Layout::of_tensors([("a".to_string(), vec![2]), ("b".to_string(), vec![1, 2])])
}

fn weights(name: &str, dtype: Dtype, shape: &[usize], slot: &str) -> Described {
    Described { name: name.into(), dtype, shape: shape.to_vec(), source: Source::Weights(slot.into()) }
}

fn kept(name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Described {
    Described { name: name.into(), dtype, shape: shape.to_vec(), source: Source::Kept(bytes.to_vec()) }
}

fn some() -> Vec<Described> {
    vec![
        weights("module.a", Dtype::BF16, &[2], "a"),
        weights("b", Dtype::F64, &[1, 2], "b"),
        weights("tied", Dtype::F32, &[1, 2], "b"),
        kept("steps", Dtype::I64, &[], &7i64.to_le_bytes()),
        kept("none", Dtype::F32, &[0, 3], &[]),
        kept("eight", Dtype::F8_E4M3, &[3], &[1, 2, 3]),
        kept("frozen", Dtype::F32, &[1], &0.25f32.to_le_bytes()),
    ]
}

fn template() -> Template {
    let words = [("format".to_string(), "pt".to_string()), ("removed".into(), "b".into())].into();
    let texts = [("config.json".to_string(), "{\"grün\": 1}\n".to_string())].into();
    Template::new(some(), words, Beside { name: "model.safetensors".into(), texts }, &layout()).unwrap()
}

#[test]
fn networks_are_written_as_the_template_says_and_templates_are_read_back() {
    let (template, layout) = (template(), layout());
    let bytes = template.to_bytes().unwrap();
    assert_eq!(bytes, template.to_bytes().unwrap());
    let path = Path::new("template.safetensors");
    assert_eq!(Template::from_bytes(path, &bytes, &layout).unwrap(), template);
    let theta = [1.0, -2.0, 0.1, 3.0];
    let dir = tempfile::tempdir().unwrap();
    let file = template.write(&layout, &theta, dir.path(), "network-00000").unwrap();
    assert_eq!(file, dir.path().join("network-00000/model.safetensors"));
    assert_eq!(fs::read_to_string(dir.path().join("network-00000/config.json")).unwrap(), "{\"grün\": 1}\n");
    let bytes = fs::read(file).unwrap();
    let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(read.len(), 7);
    let is = |name: &str, dtype: Dtype, shape: &[usize], data: &[u8]| {
        let tensor = read.tensor(name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape(), tensor.data()), (dtype, shape, data), "{name}");
    };
    is("module.a", Dtype::BF16, &[2], &[0x80, 0x3f, 0x00, 0xc0]);
    let double = [f64::from(0.1f32).to_le_bytes(), 3f64.to_le_bytes()].concat();
    is("b", Dtype::F64, &[1, 2], &double);
    is("tied", Dtype::F32, &[1, 2], &[0.1f32.to_le_bytes(), 3f32.to_le_bytes()].concat());
    is("steps", Dtype::I64, &[], &7i64.to_le_bytes());
    is("none", Dtype::F32, &[0, 3], &[]);
    is("eight", Dtype::F8_E4M3, &[3], &[1, 2, 3]);
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let words = header.metadata().clone().unwrap();
    assert_eq!((words.len(), &words["format"][..], &words["removed"][..]), (2, "pt", "b"));
    // Whole networks of an architecture's order.
    let whole = Layout::of_tensors([("frozen".to_string(), vec![1]), ("0.a".to_string(), vec![2])]);
    let all = template.whole(&layout, &whole, &["frozen", "module.a"], &[theta, [5.0; 4]].concat()).unwrap();
    assert_eq!(all, [0.25, 1.0, -2.0, 0.25, 5.0, 5.0]);
}

#[test]
fn templates_that_do_not_fit_are_refused_by_tensor() {
    let refused = |change: &dyn Fn(&mut Vec<Described>), part: &str| {
        let mut tensors = some();
        change(&mut tensors);
        let said = Template::new(tensors, BTreeMap::new(), Beside { name: "m".into(), ..Beside::default() }, &layout());
        let said = said.unwrap_err().to_string();
        assert!(said.contains(part), "no '{part}' in {said}");
    };
    refused(&|all| all.push(some().remove(3)), "tensor steps");
    refused(&|all| all[0].shape = vec![3], "tensor module.a");
    refused(&|all| all[0].dtype = Dtype::I16, "tensor module.a");
    refused(&|all| all[1].source = Source::Weights("c".into()), "tensor b");
    refused(&|all| drop(all.remove(0)), "weights of a");
    refused(&|all| all[3].shape = vec![2], "tensor steps");
    let texts: BTreeMap<String, String> = [("../x".to_string(), String::new())].into();
    let said = Template::new(some(), BTreeMap::new(), Beside { name: "m".into(), texts }, &layout()).unwrap_err();
    assert!(said.to_string().contains("../x"), "{said}");
    let path = Path::new("t.safetensors");
    let bytes = template().to_bytes().unwrap();
    let other = Layout::of_tensors([("a".to_string(), vec![2])]);
    let said = Template::from_bytes(path, &bytes, &other).unwrap_err().to_string();
    assert!(said.contains("t.safetensors") && said.contains("tensor b"), "{said}");
    for at in (0..bytes.len()).step_by(11) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(Template::from_bytes(path, &damaged, &layout()).is_err(), "byte {at}");
    }
    // Half precision that would overflow names the tensor.
    let half = Template::new(
        vec![weights("a", Dtype::F16, &[2], "a"), weights("b", Dtype::F32, &[1, 2], "b")],
        BTreeMap::new(),
        Beside { name: "m".into(), ..Beside::default() },
        &layout(),
    );
    let said = half.unwrap().network(&layout(), &[1e6, 0.0, 0.0, 0.0]).unwrap_err().to_string();
    assert!(said.contains("tensor a") && said.contains("F16"), "{said}");
}
