//! One small network for every layer that image classifiers of the literature are made of, and every way to set it.
use super::Case;
use crate::architecture::Architecture;

/// A network of `layers`, each as an inline table without its braces.
fn network(name: &str, input: &str, layers: &[&str]) -> Case {
    let layers: Vec<String> = layers.iter().map(|layer| format!("{{ {layer} }}")).collect();
    let text = format!("name = \"{name}\"\ninput = {input}\nlayers = [\n{}\n]", layers.join(",\n"));
    Case::new(Architecture::from_toml_str(&text).unwrap_or_else(|e| panic!("{text}\n{e}")), 19)
}

const CONV: &str = "kind = \"conv\", out = 4, kernel = 3, padding = 1";
const FLATTEN: &str = "kind = \"flatten\"";
const HEAD: &str = "kind = \"dense\", out = 3";

/// Layers between two convolutions, so that both of their gradients are wanted.
fn between(name: &str, layers: &[&str]) -> Case {
    let all = [&[CONV][..], layers, &["kind = \"conv\", out = 2, kernel = 1", FLATTEN, HEAD]].concat();
    network(name, "[2, 7, 6]", &all)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = residuals();
    cases.extend(convolutions());
    cases.extend(pools());
    cases.extend(norms());
    cases.extend(tokens());
    for layer in [
        "kind = \"relu6\"",
        "kind = \"elu\", alpha = 0.7",
        "kind = \"sigmoid\"",
        "kind = \"hard-swish\"",
        "kind = \"prelu\"",
        "kind = \"prelu\", channels = true",
        "kind = \"identity\"",
        "kind = \"pad-channels\", before = 1, after = 2",
    ] {
        let all = [CONV, layer, FLATTEN, HEAD];
        cases.push(network(layer.split('"').nth(1).unwrap(), "[2, 3, 2]", &all));
    }
    cases
}

fn residuals() -> Vec<Case> {
    let strided = "kind = \"conv\", out = 6, kernel = 3, stride = 2, padding = 1, bias = false";
    let branch = format!(
        "layers = [{{ {strided} }}, {{ kind = \"batch-norm\" }}, {{ kind = \"relu\" }}, {{ kind = \"conv\", out = 6, kernel = 3, padding = 1 }}]"
    );
    let block = |shortcut: &str| format!("kind = \"residual\", {branch}, shortcut = [{shortcut}]");
    let projection = "{ kind = \"conv\", out = 6, kernel = 1, stride = 2, bias = false }";
    let normed = format!("{projection}, {{ kind = \"batch-norm\" }}");
    let padded = "{ kind = \"avg-pool\", size = 1, stride = 2 }, { kind = \"pad-channels\", before = 1, after = 1 }";
    let mut cases = Vec::new();
    for (name, shortcut) in [("projection", projection), ("projection with norm", &normed), ("option A", padded)] {
        cases.push(between(name, &[&block(shortcut), "kind = \"relu\""]));
    }
    // On the input, where no gradient is wanted of what goes through a shortcut without weights.
    let on_input = block("{ kind = \"avg-pool\", size = 1, stride = 2 }, { kind = \"pad-channels\", after = 4 }");
    cases.push(network("shortcut of the input", "[2, 7, 6]", &[&on_input, FLATTEN, HEAD]));
    let identity = "kind = \"residual\", layers = [{ kind = \"conv\", out = 4, kernel = 1 }], shortcut = [{ kind = \"identity\" }]";
    let inner = format!(
        "kind = \"residual\", layers = [{{ {identity} }}], shortcut = [{{ kind = \"conv\", out = 4, kernel = 1 }}]"
    );
    cases.push(between("residual in residual", &[identity, &inner]));
    cases
}

fn convolutions() -> Vec<Case> {
    let conv = |rest: &str| format!("kind = \"conv\", out = 4, kernel = 2, {rest}");
    let twice = |name: &str, conv: &str| {
        network(name, "[4, 9, 8]", &[CONV, "kind = \"tanh\"", conv, "kind = \"silu\"", FLATTEN, HEAD])
    };
    vec![
        twice("groups", "kind = \"conv\", out = 6, kernel = 3, groups = 2, padding = 1"),
        twice("strided groups", "kind = \"conv\", out = 4, kernel = 2, groups = 2, stride = 2, bias = false"),
        twice("depthwise", "kind = \"conv\", out = 4, kernel = 3, groups = 4, padding = 1"),
        twice(
            "strided depthwise",
            "kind = \"conv\", out = 4, kernel = 3, groups = 4, stride = 2, padding = 1, bias = false",
        ),
        twice("dilated depthwise", "kind = \"conv\", out = 4, kernel = [3, 2], groups = 4, dilation = [2, 3]"),
        twice("multiplied depthwise", "kind = \"conv\", out = 8, kernel = 3, groups = 4"),
        twice("dilation", "kind = \"conv\", out = 9, kernel = 3, dilation = 2, padding = 2"),
        twice(
            "dilation and stride",
            "kind = \"conv\", out = 3, kernel = [2, 3], dilation = [3, 2], stride = [1, 2], padding = [1, 2]",
        ),
        twice("dilated groups", "kind = \"conv\", out = 6, kernel = 3, groups = 2, dilation = 2"),
        twice("tall", "kind = \"conv\", out = 5, kernel = [5, 1], padding = [2, 0]"),
        twice("wide", "kind = \"conv\", out = 5, kernel = [1, 5], stride = [2, 1], padding = [0, 2]"),
        twice("wide stride", "kind = \"conv\", out = 5, kernel = [2, 3], stride = [1, 2]"),
        network(
            "grouped before a pool",
            "[4, 9, 8]",
            &["kind = \"conv\", out = 4, kernel = 3, groups = 2", "kind = \"max-pool\", size = 2", FLATTEN, HEAD],
        ),
        // With the ReLU that convolutions of every kind are done in one with.
        network("grouped relu", "[4, 5, 4]", &[&conv("groups = 2"), "kind = \"relu\"", FLATTEN, HEAD]),
        network("depthwise relu", "[4, 5, 4]", &[&conv("groups = 4"), "kind = \"relu\"", FLATTEN, HEAD]),
        network("dilated relu", "[4, 5, 4]", &[&conv("dilation = 2"), "kind = \"relu\"", FLATTEN, HEAD]),
        twice("linear", "kind = \"linear\", out = 5"),
        network(
            "sequence",
            "[3, 31]",
            &[
                "kind = \"conv1d\", out = 6, kernel = 5, padding = 2",
                "kind = \"relu\"",
                "kind = \"max-pool\", size = [1, 2]",
                "kind = \"conv1d\", out = 6, kernel = 3, stride = 2, groups = 3",
                "kind = \"batch-norm\"",
                "kind = \"conv1d\", out = 5, kernel = 2, dilation = 2, bias = false",
                "kind = \"adaptive-avg-pool\"",
                FLATTEN,
                HEAD,
            ],
        ),
    ]
}

fn pools() -> Vec<Case> {
    [
        ("padded max-pool", "kind = \"max-pool\", size = 3, stride = 2, padding = 1"),
        ("wide max-pool", "kind = \"max-pool\", size = [1, 3], stride = [2, 1], padding = [0, 1]"),
        ("padded avg-pool", "kind = \"avg-pool\", size = 3, stride = 2, padding = 1"),
        ("uncounted avg-pool", "kind = \"avg-pool\", size = [3, 2], stride = 2, padding = 1, count-padding = false"),
        ("tall avg-pool", "kind = \"avg-pool\", size = [3, 1]"),
        ("global", "kind = \"global-avg-pool\""),
        ("adaptive", "kind = \"adaptive-avg-pool\", size = [3, 4]"),
    ]
    .iter()
    .map(|(name, pool)| between(name, &[pool]))
    .collect()
}

fn norms() -> Vec<Case> {
    vec![
        between("group-norm", &["kind = \"group-norm\", groups = 2"]),
        between("group-norm of one", &["kind = \"group-norm\", groups = 1, eps = 0.01"]),
        between("instance norm", &["kind = \"group-norm\", groups = 4"]),
        between("layer-norm", &["kind = \"layer-norm\""]),
        between("layer-norm of all", &["kind = \"layer-norm\", over = \"all\""]),
        network(
            "layer-norm of rows",
            "[7]",
            &["kind = \"layer-norm\"", "kind = \"dense\", out = 9", "kind = \"layer-norm\"", HEAD],
        ),
        network("norm first", "[4, 3, 3]", &["kind = \"group-norm\", groups = 2", FLATTEN, HEAD]),
    ]
}

fn tokens() -> Vec<Case> {
    let patches = "kind = \"conv\", out = 6, kernel = 2, stride = 2";
    let attention = |rest: &str| format!("kind = \"self-attention\", heads = 2{rest}");
    let residual = |layers: &str| format!("kind = \"residual\", layers = [{layers}]");
    let mlp = "{ kind = \"layer-norm\" }, { kind = \"linear\", out = 9 }, { kind = \"gelu\" }, { kind = \"linear\", out = 6 }";
    let mixing = "{ kind = \"layer-norm\" }, { kind = \"transpose\" }, { kind = \"linear\", out = 5 }, { kind = \"gelu\" }, { kind = \"linear\", out = 12 }, { kind = \"transpose\" }";
    let attended = format!("{{ kind = \"layer-norm\" }}, {{ {} }}", attention(""));
    vec![
        network(
            "transformer",
            "[2, 6, 8]",
            &[
                patches,
                "kind = \"tokens\"",
                "kind = \"class-token\"",
                "kind = \"position-embedding\"",
                &residual(&attended),
                &residual(mlp),
                "kind = \"layer-norm\"",
                "kind = \"take-token\"",
                HEAD,
            ],
        ),
        network(
            "mixer",
            "[2, 6, 8]",
            &[patches, "kind = \"tokens\"", &residual(mixing), &residual(mlp), "kind = \"adaptive-avg-pool\"", HEAD],
        ),
        network(
            "attention without biases, of the input",
            "[6, 11]",
            &[&attention(", bias = false, names = \"timm\""), "kind = \"take-token\", index = 4", HEAD],
        ),
        network(
            "positions of the input",
            "[3, 5]",
            &["kind = \"position-embedding\"", "kind = \"class-token\"", FLATTEN, HEAD],
        ),
    ]
}
