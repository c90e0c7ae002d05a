use super::*;
use crate::context::ContextConfig;
use crate::nn::parameters::Parameters;

fn config() -> ContextConfig {
    ContextConfig {
        hidden: vec![7, 6],
        width: 8,
        heads: 2,
        blocks: 2,
        global_width: 5,
        class_width: 3,
        ..ContextConfig::default()
    }
}

fn support(n: usize, classes: u32, seed: u64) -> Support {
    let mut rng = Streams::new(seed).rng();
    let inputs: Vec<f32> = (0..n * 4).map(|_| rng.random_range(-1.0..1.0)).collect();
    let labels: Vec<u32> = (0..n as u32).map(|i| i % classes).collect();
    Support::new(&inputs, &labels).unwrap()
}

fn encode(encoder: &Encoder, supports: &[Support]) -> Vec<f32> {
    encoder.forward(supports, &mut EncoderBuffers::default()).to_vec()
}

#[test]
fn samples_in_any_order_make_the_same_bytes_and_sets_do_not_see_each_other() {
    let encoder = Encoder::new(4, 5, &config(), &Streams::new(1)).unwrap();
    let one = support(11, 3, 2);
    let shuffled: Vec<usize> = (0..11).map(|i| (i * 7 + 3) % 11).collect();
    let inputs: Vec<f32> = shuffled.iter().flat_map(|&i| one.inputs()[i * 4..(i + 1) * 4].to_vec()).collect();
    let labels: Vec<u32> = shuffled.iter().map(|&i| one.labels()[i]).collect();
    let other = Support::new(&inputs, &labels).unwrap();
    let c = encode(&encoder, std::slice::from_ref(&one));
    assert_eq!(c, encode(&encoder, &[other]));
    let d = encoder.dimension();
    assert_eq!(d, 5 + 5 * 3);
    assert_eq!(encode(&encoder, &[support(6, 5, 3), one])[d..], c);
    for part in [&c[..5], &c[5..]] {
        let square = part.iter().map(|c| c * c).sum::<f32>() / part.len() as f32;
        assert!((square - 1.0).abs() < 1e-3, "{square}");
    }
    assert!(c[5 + 3 * 3..].iter().all(|c| *c == 0.0), "classes 3 and 4 have no samples");
}

#[test]
fn relabelling_moves_blocks_and_codes_alike() {
    let permuted = [3usize, 0, 4, 1, 2];
    // Sums over classes change their order with the labels; dividing by small root mean squares makes their rounding visible.
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-4);
    let moved = |c: &[f32]| {
        let mut out = c.to_vec();
        for (k, &to) in permuted.iter().enumerate() {
            out[5 + to * 3..][..3].copy_from_slice(&c[5 + k * 3..][..3]);
        }
        out
    };
    let one = support(13, 4, 5);
    // Without codes: equivariant as it stands.
    let plain = Encoder::new(4, 5, &ContextConfig { codes: false, ..config() }, &Streams::new(1)).unwrap();
    let c = encode(&plain, std::slice::from_ref(&one));
    assert!(close(&encode(&plain, &[one.relabelled(&permuted)]), &moved(&c)));
    // With codes: so up to the permutation of the codes, which is one of the columns of W that read them.
    let coded = Encoder::new(4, 5, &config(), &Streams::new(1)).unwrap();
    let mut turned = coded.clone();
    let slot = coded.layout().slots().iter().find(|s| s.name == "token.weight").unwrap();
    let wide = slot.shape[1];
    for row in 0..slot.shape[0] {
        for (k, &to) in permuted.iter().enumerate() {
            let at = |k: usize| slot.offset + row * wide + 13 + k;
            turned.parameters_mut()[at(to)] = coded.parameters()[at(k)];
        }
    }
    let (c, seen) = (encode(&coded, std::slice::from_ref(&one)), encode(&turned, &[one.relabelled(&permuted)]));
    assert!(close(&seen, &moved(&c)));
    assert!(!close(&encode(&coded, &[one.relabelled(&permuted)]), &moved(&c)), "codes tell labels apart");
}

#[test]
fn derivatives_are_those_of_finite_differences() {
    for config in [
        config(),
        ContextConfig { global_width: 0, ..config() },
        ContextConfig { class_width: 0, blocks: 1, ..config() },
    ] {
        let mut encoder = Encoder::new(4, 4, &config, &Streams::new(3)).unwrap();
        // Norms start at zeros; elsewhere their derivatives say more.
        let mut rng = Streams::new(8).rng();
        encoder.parameters_mut().iter_mut().for_each(|p| *p += 0.05 * rng.sample::<f32, _>(StandardNormal));
        let sets = [support(7, 3, 1), support(4, 4, 2)];
        let weight: Vec<f32> = (0..2 * encoder.dimension()).map(|i| (i as f32 * 0.7).sin()).collect();
        let value = |encoder: &Encoder| -> f64 {
            encode(encoder, &sets).iter().zip(&weight).map(|(c, w)| f64::from(*c) * f64::from(*w)).sum()
        };
        let mut buffers = EncoderBuffers::default();
        encoder.forward(&sets, &mut buffers);
        let mut gradient = vec![f32::NAN; encoder.parameters().len()];
        encoder.backward(&weight, &mut buffers, &mut gradient);
        let h = 4e-3f32;
        for slot in encoder.layout().slots().to_vec() {
            for i in slot.range().step_by((slot.len() / 12).max(1)) {
                let mut moved = encoder.clone();
                let mut shift = |by: f32| {
                    moved.parameters_mut()[i] = encoder.parameters()[i] + by;
                    value(&moved)
                };
                let slope = (shift(h) - shift(-h)) / f64::from(2.0 * h);
                let found = f64::from(gradient[i]);
                assert!((slope - found).abs() < 4e-3 * (1.0 + slope.abs()), "{}: {slope} {found}", slot.name);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let encoder = Encoder::new(4, 3, &config(), &Streams::new(1)).unwrap();
    assert!(encoder.check(&support(5, 3, 1)).is_ok());
    assert!(encoder.check(&support(5, 4, 1)).unwrap_err().to_string().contains("labels below 3"));
    let narrow = Support::new(&[1.0, 2.0], &[0]).unwrap();
    assert!(encoder.check(&narrow).unwrap_err().to_string().contains("[n, 4]"));
    let heads = ContextConfig { heads: 3, ..config() };
    assert!(Encoder::new(4, 3, &heads, &Streams::new(1)).unwrap_err().to_string().contains("context.heads"));
}
