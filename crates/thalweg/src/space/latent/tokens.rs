//! Weights as tokens (M8): one token an output of a layer, its row of weights with its bias (and, for batch normalisation, a channel's four
//! numbers), through a small transformer; after the layer-wise tokens of weight-space transformers (Schürholt et al. 2024, SANE).
//!
//! Encoder: token i of layer l starts as E_l x_i + e_l + position_i, the transformer's blocks follow (see `trunk`), and the code is an affine map
//! of all tokens together. Decoder: an affine map of the latents gives all tokens (its bias is their positions), blocks follow, and
//! F_l h_i + f_l are the numbers of token i. Layers share nothing but the blocks, so that rows of any length fit without padding. Fewer parameters
//! than the perceptron where layers are wide, more operations; positions are learned, so it is not equivariant to permutations.
use super::coder::Coder;
use super::coder_config::TokensConfig;
use super::trunk::{Trunk, TrunkBuffers};
use crate::nn::affine::Affine;
use crate::nn::dense::Accumulate;
use crate::nn::elementwise;
use crate::nn::gradient::Gradient;
use crate::nn::tape::Tape;
use crate::{Layout, Streams};
use rand::RngExt;
use rayon::prelude::*;
use std::ops::Range;

/// The tokens of one layer.
#[derive(Clone, Debug)]
struct Group {
    name: String,
    /// Which tokens.
    tokens: Range<usize>,
    /// Numbers of a token.
    length: usize,
    /// Where they lie in θ, token by token.
    places: Vec<usize>,
}

/// The tensors of θ as tokens, layer by layer: neighbours of one name (up to the last dot) and one number of outputs belong together.
fn groups(layout: &Layout) -> Vec<Group> {
    let mut layers: Vec<(String, usize, Vec<Range<usize>>)> = Vec::new();
    for slot in layout.slots() {
        let prefix = slot.name.rsplit_once('.').map_or("", |(prefix, _)| prefix).to_string();
        let outputs = slot.shape.first().copied().unwrap_or(1).max(1);
        match layers.last_mut() {
            Some((name, n, slots)) if *name == prefix && *n == outputs => slots.push(slot.range()),
            _ => layers.push((prefix, outputs, vec![slot.range()])),
        }
    }
    let mut first = 0;
    let made = layers.into_iter().enumerate().map(|(l, (_, outputs, slots))| {
        let row = |i: usize, slot: &Range<usize>| {
            let each = slot.len() / outputs;
            slot.start + i * each..slot.start + (i + 1) * each
        };
        let places = (0..outputs).flat_map(|i| slots.iter().flat_map(move |slot| row(i, slot))).collect();
        let length = slots.iter().map(|slot| slot.len() / outputs).sum();
        first += outputs;
        Group { name: format!("layers.{l}"), tokens: first - outputs..first, length, places }
    });
    made.collect()
}

/// Numbers of the group's tokens out of `x [B, P]`, to `out [B · tokens, length]`.
fn gather(group: &Group, x: &[f32], p: usize, out: &mut Vec<f32>) {
    out.resize(x.len() / p * group.places.len(), 0.0);
    out.par_chunks_exact_mut(group.places.len()).zip(x.par_chunks_exact(p)).for_each(|(out, x)| {
        out.iter_mut().zip(&group.places).for_each(|(out, &place)| *out = x[place]);
    });
}

/// The reverse of [`gather`].
fn scatter(group: &Group, from: &[f32], p: usize, x: &mut [f32]) {
    x.par_chunks_exact_mut(p).zip(from.par_chunks_exact(group.places.len())).for_each(|(x, from)| {
        from.iter().zip(&group.places).for_each(|(from, &place)| x[place] = *from);
    });
}

/// What both halves have.
struct Transformer {
    groups: Vec<(Group, Affine)>,
    trunk: Trunk,
    /// Between all tokens and the code.
    read: Affine,
    p: usize,
    /// N and W.
    size: [usize; 2],
}

/// Buffers of one batch.
#[derive(Default)]
struct Buffers {
    code: Vec<f32>,      // [B, D], what a decoder was given
    rows: Vec<Vec<f32>>, // a group's tokens as numbers [B · tokens, length]
    tokens: Vec<f32>,    // a group's tokens [B · tokens, W]
    kept: Vec<Vec<f32>>, // the same of each group, after the blocks
    h: Vec<f32>,         // [B, N, W]
    d_h: Vec<f32>,       // [B, N, W]
    trunk: TrunkBuffers,
}

impl Transformer {
    fn draw(&self, parameters: &mut [f32], streams: &Streams) {
        self.trunk.draw(parameters, &streams.child("trunk"));
        self.read.draw(parameters, &streams.child("read"));
    }

    /// Tokens of `group` between `all [B, N, W]` and `own [B · tokens, W]`.
    fn own_tokens<'a>(&self, group: &Group, all: &'a [f32]) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let ([n, w], tokens) = (self.size, group.tokens.clone());
        all.chunks_exact(n * w).map(move |all| &all[tokens.start * w..tokens.end * w])
    }

    fn own_tokens_mut<'a>(&self, group: &Group, all: &'a mut [f32]) -> impl Iterator<Item = &'a mut [f32]> + use<'a> {
        let ([n, w], tokens) = (self.size, group.tokens.clone());
        all.chunks_exact_mut(n * w).map(move |all| &mut all[tokens.start * w..tokens.end * w])
    }
}

/// θ to a code.
pub(super) struct Encoder {
    net: Transformer,
    /// `[N, W]`.
    positions: Range<usize>,
}

/// A latent to θ.
pub(super) struct Decoder(Transformer);

impl Encoder {
    /// Appends the tensors `encoder.…`, for codes of `codes` numbers.
    pub fn push(
        tensors: &mut Vec<(String, Vec<usize>)>,
        end: &mut usize,
        config: &TokensConfig,
        layout: &Layout,
        codes: usize,
    ) -> Self {
        let (groups, w) = (groups(layout), config.width);
        let n = groups.last().map_or(0, |group| group.tokens.end);
        let positions = *end..*end + n * w;
        tensors.push(("encoder.positions".into(), vec![n, w]));
        *end = positions.end;
        let embed = |group: Group| {
            let affine = Affine::push(tensors, end, &format!("encoder.{}", group.name), w, group.length);
            (group, affine)
        };
        let groups = groups.into_iter().map(embed).collect();
        let trunk = Trunk::push(tensors, end, "encoder", config);
        let read = Affine::push(tensors, end, "encoder.read", codes, n * w);
        Self { net: Transformer { groups, trunk, read, p: layout.len(), size: [n, w] }, positions }
    }
}

impl Coder for Encoder {
    fn outputs(&self) -> usize {
        self.net.read.outputs
    }

    fn draw(&self, parameters: &mut [f32], _: bool, streams: &Streams) {
        self.net.draw(parameters, streams);
        for (i, (_, embed)) in self.net.groups.iter().enumerate() {
            embed.draw(parameters, &streams.child("embed").index(i as u64));
        }
        let mut rng = streams.child("positions").rng();
        parameters[self.positions.clone()].iter_mut().for_each(|v| *v = 0.2 * (rng.random::<f32>() - 0.5));
    }

    fn forward(&self, q: &[f32], x: &[f32], out: &mut [f32], tape: &mut Tape) {
        let (net, b) = (&self.net, tape.of::<Buffers>());
        let ([n, w], items) = (net.size, x.len() / net.p);
        b.h.resize(items * n * w, 0.0);
        b.rows.resize_with(net.groups.len(), Vec::new);
        for ((group, embed), rows) in net.groups.iter().zip(&mut b.rows) {
            gather(group, x, net.p, rows);
            b.tokens.resize(rows.len() / group.length * w, 0.0);
            embed.apply(q, rows, Accumulate::Overwrite, &mut b.tokens);
            elementwise::add_bias(&mut b.tokens, embed.bias(q));
            let own = b.tokens.chunks_exact(group.tokens.len() * w);
            net.own_tokens_mut(group, &mut b.h).zip(own).for_each(|(to, from)| to.copy_from_slice(from));
        }
        elementwise::add_bias(&mut b.h, &q[self.positions.clone()]);
        net.trunk.forward(q, items, &mut b.h, &mut b.trunk);
        net.read.apply(q, &b.h, Accumulate::Overwrite, out);
        elementwise::add_bias(out, net.read.bias(q));
    }

    fn backward(&self, q: &[f32], d_out: &[f32], tape: &mut Tape, gradient: &mut Gradient<'_>, dx: Option<&mut [f32]>) {
        let (net, b) = (&self.net, tape.of::<Buffers>());
        b.d_h.resize(b.h.len(), 0.0);
        net.read.gradient(gradient, d_out, &b.h);
        net.read.input_gradient(q, d_out, Accumulate::Overwrite, &mut b.d_h);
        net.trunk.backward(q, &mut b.d_h, gradient, &mut b.trunk);
        let (put, slice): (_, Option<&mut [f32]>) = match gradient {
            Gradient::Skip => (Accumulate::Overwrite, None),
            Gradient::Write(slice) => (Accumulate::Overwrite, Some(slice)),
            Gradient::Add(slice) => (Accumulate::Add, Some(slice)),
        };
        if let Some(slice) = slice {
            crate::nn::dense::column_sums(&mut slice[self.positions.clone()], put, &b.d_h);
        }
        let mut dx = dx;
        for ((group, embed), rows) in net.groups.iter().zip(&mut b.rows) {
            b.tokens.clear();
            net.own_tokens(group, &b.d_h).for_each(|own| b.tokens.extend_from_slice(own));
            embed.gradient(gradient, &b.tokens, rows);
            if let Some(dx) = &mut dx {
                embed.input_gradient(q, &b.tokens, Accumulate::Overwrite, rows);
                scatter(group, rows, net.p, dx);
            }
        }
    }
}

impl Decoder {
    /// Appends the tensors `decoder.…`, for latents of `dimension` numbers.
    pub fn push(
        tensors: &mut Vec<(String, Vec<usize>)>,
        end: &mut usize,
        config: &TokensConfig,
        layout: &Layout,
        dimension: usize,
    ) -> Self {
        let (groups, w) = (groups(layout), config.width);
        let n = groups.last().map_or(0, |group| group.tokens.end);
        let read = Affine::push(tensors, end, "decoder.read", n * w, dimension);
        let trunk = Trunk::push(tensors, end, "decoder", config);
        let write = |group: Group| {
            let affine = Affine::push(tensors, end, &format!("decoder.{}", group.name), group.length, w);
            (group, affine)
        };
        let groups = groups.into_iter().map(write).collect();
        Self(Transformer { groups, trunk, read, p: layout.len(), size: [n, w] })
    }
}

impl Coder for Decoder {
    fn outputs(&self) -> usize {
        self.0.p
    }

    fn draw(&self, parameters: &mut [f32], zero_output: bool, streams: &Streams) {
        self.0.draw(parameters, streams);
        for (i, (_, write)) in self.0.groups.iter().enumerate().filter(|_| !zero_output) {
            write.draw(parameters, &streams.child("write").index(i as u64));
        }
    }

    fn forward(&self, q: &[f32], x: &[f32], out: &mut [f32], tape: &mut Tape) {
        let (net, b) = (&self.0, tape.of::<Buffers>());
        let ([n, w], items) = (net.size, x.len() / net.read.inputs);
        b.code.resize(x.len(), 0.0);
        b.code.copy_from_slice(x);
        b.h.resize(items * n * w, 0.0);
        net.read.apply(q, x, Accumulate::Overwrite, &mut b.h);
        elementwise::add_bias(&mut b.h, net.read.bias(q));
        net.trunk.forward(q, items, &mut b.h, &mut b.trunk);
        b.rows.resize_with(net.groups.len(), Vec::new);
        b.kept.resize_with(net.groups.len(), Vec::new);
        for (((group, write), rows), kept) in net.groups.iter().zip(&mut b.rows).zip(&mut b.kept) {
            kept.clear();
            net.own_tokens(group, &b.h).for_each(|own| kept.extend_from_slice(own));
            rows.resize(kept.len() / w * group.length, 0.0);
            write.apply(q, kept, Accumulate::Overwrite, rows);
            elementwise::add_bias(rows, write.bias(q));
            scatter(group, rows, net.p, out);
        }
    }

    fn backward(&self, q: &[f32], d_out: &[f32], tape: &mut Tape, gradient: &mut Gradient<'_>, dx: Option<&mut [f32]>) {
        let (net, b) = (&self.0, tape.of::<Buffers>());
        let w = net.size[1];
        b.d_h.resize(b.h.len(), 0.0);
        for (((group, write), rows), kept) in net.groups.iter().zip(&mut b.rows).zip(&b.kept) {
            gather(group, d_out, net.p, rows);
            write.gradient(gradient, rows, kept);
            b.tokens.resize(kept.len(), 0.0);
            write.input_gradient(q, rows, Accumulate::Overwrite, &mut b.tokens);
            let own = b.tokens.chunks_exact(group.tokens.len() * w);
            net.own_tokens_mut(group, &mut b.d_h).zip(own).for_each(|(to, from)| to.copy_from_slice(from));
        }
        net.trunk.backward(q, &mut b.d_h, gradient, &mut b.trunk);
        net.read.gradient(gradient, &b.d_h, &b.code);
        if let Some(dx) = dx {
            net.read.input_gradient(q, &b.d_h, Accumulate::Overwrite, dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::latent::TokensConfig;
    use crate::space::latent::bottleneck::Bottleneck;
    use crate::space::latent::coder_config::CoderConfig;
    use crate::space::latent::learned::Learned;
    use crate::space::latent::objective::tests::check_gradient;
    use crate::space::latent::{Autoencoder, Decoder as _};
    use thalweg_nets::Architecture;

    const NET: &str = "input = [1, 6, 6]\nlayers = [{ kind = \"conv\", out = 3, kernel = 3 }, { kind = \"batch-norm\" }, { kind = \"relu\" }, \
                       { kind = \"flatten\" }, { kind = \"dense\", out = 2 }]";

    fn layout() -> Layout {
        Layout::of(&Architecture::from_toml_str(NET).unwrap())
    }

    #[test]
    fn every_weight_is_in_one_token_and_a_row_goes_with_its_bias() {
        let layout = layout();
        let found = groups(&layout);
        let sizes: Vec<_> = found.iter().map(|g| (g.tokens.clone(), g.length)).collect();
        // A kernel of 9 with its bias; four numbers of a channel; 3 · 4 · 4 inputs and a bias.
        assert_eq!(sizes, [(0..3, 10), (3..6, 4), (6..8, 49)]);
        let mut places: Vec<_> = found.iter().flat_map(|g| &g.places).copied().collect();
        let bias = layout.slots()[1].offset;
        assert_eq!(&found[0].places[10..20], [&(9..18).collect::<Vec<_>>()[..], &[bias + 1]].concat());
        places.sort_unstable();
        assert!(places.into_iter().eq(0..layout.len()));
        // Tensors of an imported checkpoint with no dots in their names are layers of their own, unless they are alike.
        let plain =
            Layout::of_tensors([("a".to_string(), vec![4, 2]), ("b".to_string(), vec![]), ("c".to_string(), vec![5])]);
        assert_eq!(groups(&plain).iter().map(|g| g.length).collect::<Vec<_>>(), [2, 1, 1]);
    }

    #[test]
    fn gradients_agree_with_central_differences_for_every_tensor() {
        let coder = CoderConfig::Tokens(TokensConfig { width: 8, blocks: 2, heads: 2, expansion: 2 });
        check_gradient(Bottleneck::Variational { beta: 0.3 }, &coder, &layout(), 0.0, None);
    }

    #[test]
    fn rows_do_not_mind_company_and_gradients_pull_back_as_differences_say() {
        let layout = layout();
        let coder = CoderConfig::Tokens(TokensConfig { width: 12, blocks: 1, heads: 3, expansion: 1 });
        let bottleneck = crate::space::latent::bottleneck::Bottleneck::Variational { beta: 0.1 };
        let mut net = Learned::new(&coder, &layout, bottleneck, 3, false, &Streams::new(1));
        let mut rng = Streams::new(2).rng();
        net.trained_mut().iter_mut().for_each(|v| *v += 0.2 * (rng.random::<f32>() - 0.5));
        let p = layout.len();
        let z: Vec<f32> = (0..20 * p).map(|_| rng.random::<f32>() - 0.5).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (net.encode(&z), net.decode(&net.encode(&z))))
        };
        let (y, back) = run(1);
        assert!(run(2) == (y.clone(), back.clone()));
        assert_eq!(net.encode(&z[4 * p..5 * p]), y[12..15]);
        assert_eq!(net.decode(&y[12..15]), back[4 * p..5 * p]);
        let dz: Vec<f32> = (0..2 * p).map(|i| (i as f32).sin()).collect();
        let dy = net.pull_back(&y[..6], &[], dz.clone());
        for k in 0..6 {
            let at = |h: f32| {
                let mut y = y[..6].to_vec();
                y[k] += h;
                net.decode(&y).iter().zip(&dz).map(|(z, d)| f64::from(z * d)).sum::<f64>()
            };
            let slope = (at(4e-3) - at(-4e-3)) / 8e-3;
            assert!((slope - f64::from(dy[k])).abs() < 0.02 * (1.0 + slope.abs()), "{k}: {slope} {}", dy[k]);
        }
    }
}
