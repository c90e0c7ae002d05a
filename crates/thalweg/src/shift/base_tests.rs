use super::*;
use thalweg_nets::architecture::Preset;

#[test]
fn features_times_the_last_layer_are_the_logits() {
    let net = Preset::Mlp { widths: vec![5, 3] }.build([4, 1, 1], 2).unwrap();
    let engine = Engine::new(&net).unwrap();
    let theta: Vec<f32> = (0..engine.parameters()).map(|i| ((i * 37 % 19) as f32 - 9.0) / 10.0).collect();
    let base = Base::new(&net, theta.clone()).unwrap();
    let x: Vec<f32> = (0..28).map(|i| (i as f32 * 0.7).sin()).collect();
    let sample = base.sample(&x).unwrap();
    assert_eq!((sample.len(), sample.width(), sample.classes(), sample.feature_width()), (7, 4, 2, 3));
    let head = &theta[theta.len() - 8..];
    for i in 0..7 {
        for c in 0..2 {
            let by_hand: f32 = (0..3).map(|j| head[c * 3 + j] * sample.features[i * 3 + j]).sum::<f32>() + head[6 + c];
            assert!((by_hand - sample.logits[i * 2 + c]).abs() < 1e-5);
        }
    }
    let few = sample.rows(&[6, 0, 6]);
    assert_eq!((few.len(), &few.inputs[..4], &few.logits[4..]), (3, &x[24..], &sample.logits[12..]));
}

#[test]
fn bad_rows_are_named() {
    let net = Preset::Mlp { widths: vec![3] }.build([2, 1, 1], 2).unwrap();
    let p = Engine::new(&net).unwrap().parameters();
    let base = Base::new(&net, vec![0.1; p]).unwrap();
    let said = |x: &[f32]| base.sample(x).unwrap_err().to_string();
    assert!(said(&[]).contains("[N ≥ 1, 2]"));
    assert!(said(&[1.0; 3]).contains("[3]"));
    assert!(said(&[0.0, 0.0, f32::NAN, 0.0]).contains("row 1, column 0"));
    assert!(Base::new(&net, vec![0.1; p + 1]).is_err());
    assert!(Sample::of_logits(vec![0.0; 5], 2).is_err());
    assert!(Sample::of_logits(vec![0.0, f32::INFINITY], 2).unwrap_err().to_string().contains("column 1"));
}
