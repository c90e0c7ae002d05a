//! What dense layers multiply, for whoever preconditions their gradients: y = W a + b, and here is a.
use super::buffers::{Buffers, LayerInputs, Prepared};
use super::ops::Kind;
use super::packed::Packed;
use super::run::{Runner, block};
use super::{Engine, Mode, Workspace};

impl Engine {
    /// The inputs of every dense layer of one θ `[P]`, in evaluation, on this thread; the layers of an architecture without any: none.
    ///
    /// # Panics
    /// Where a slice has another length.
    pub fn layer_inputs(&self, theta: &[f32], x: &Packed, workspace: &mut Workspace) -> Vec<LayerInputs> {
        assert_eq!(theta.len(), self.parameters(), "theta must be [P]");
        assert_eq!(x.input_len(), self.input_len, "the inputs must be packed for this engine");
        workspace.prepared.prepare(&self.plan, theta);
        let runner = self.runner(theta, x, Mode::Evaluate);
        runner.layer_inputs(&workspace.prepared, &mut workspace.buffers)
    }
}

impl Runner<'_> {
    fn layer_inputs(&self, prepared: &Prepared, buffers: &mut Buffers) -> Vec<LayerInputs> {
        buffers.resize(self.plan, 1);
        let dense = self.plan.ops.iter().filter_map(|op| match op.kind {
            Kind::Dense(dense) => Some((op.input, dense)),
            _ => None,
        });
        let mut all: Vec<(usize, usize, LayerInputs)> = dense
            .map(|(input, dense)| {
                let rows = Vec::with_capacity(self.x.len() * dense.inputs);
                (input, dense.inputs, LayerInputs { weight: dense.weight, rows })
            })
            .collect();
        for b in 0..self.x.blocks() {
            let block = block(self.x, b);
            let tape = &mut buffers.tapes[0];
            self.forward(0..self.plan.ops.len(), block, prepared, tape, None);
            for (input, n, layer) in &mut all {
                let values = &self.value(*input, block.x, &tape.values)[..*n];
                (0..block.count).for_each(|lane| layer.rows.extend(values.iter().map(|v| v.0[lane])));
            }
        }
        all.into_iter().map(|(_, _, layer)| layer).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::Architecture;
    use crate::architecture::Preset;
    use crate::engine::Engine;
    use crate::init::Initialisation;
    use crate::streams::Streams;
    use crate::testing::normals;

    /// The weight and bias of the last layer, which is dense, make the logits of its inputs; the first layer's inputs are the network's.
    #[test]
    fn a_dense_layer_makes_its_outputs_of_them() {
        let convolutional = "input = [2, 6, 6]\n[[layers]]\nkind = \"conv\"\nout = 3\nkernel = 3\n[[layers]]\nkind = \"relu\"\n[[layers]]\nkind = \"flatten\"\n[[layers]]\nkind = \"dense\"\nout = 4\n";
        let all = [
            Preset::Mlp { widths: vec![7, 5] }.build([5, 1, 1], 3).unwrap(),
            Architecture::from_toml_str(convolutional).unwrap(),
        ];
        for (architecture, layers) in all.iter().zip([3, 1]) {
            let engine = Engine::new(architecture).unwrap();
            let theta = Initialisation::KaimingUniform.draw(engine.layout(), &Streams::new(1));
            let n = 37;
            let raw = normals(&Streams::new(2), n * engine.input_len());
            let (x, classes) = (engine.pack(&raw).unwrap(), engine.classes());
            let mut workspace = engine.workspace();
            let found = engine.layer_inputs(&theta, &x, &mut workspace);
            assert_eq!(found.len(), layers);
            let mut logits = vec![0.0; n * classes];
            engine.logits(&theta, &x, &mut logits, &mut workspace);
            let last = found.last().unwrap();
            let inputs = last.rows.len() / n;
            let (weight, bias) = (&theta[last.weight..], &theta[theta.len() - classes..]);
            for (k, logit) in logits.iter().enumerate() {
                let (row, class) = (&last.rows[k / classes * inputs..][..inputs], k % classes);
                let sum: f32 = row.iter().zip(&weight[class * inputs..]).map(|(a, w)| a * w).sum();
                assert!((sum + bias[class] - logit).abs() < 1e-5, "{k}: {sum} {logit}");
            }
            if layers == 3 {
                assert_eq!(found[0].rows, raw);
            }
        }
    }
}
