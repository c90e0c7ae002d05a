//! The model card: the `README.md` of a [`MetaModel`] folder, for a person who finds the folder without us.
use super::meta_model::MetaModel;
use crate::space::latent::normalisation;

/// The card of `model` in Markdown.
pub fn text(model: &MetaModel) -> String {
    let (record, p) = (&model.record, model.layout.len());
    let held_out = record.best_loss.map_or("nothing was held out".into(), |loss| format!("held-out loss {loss:.6}"));
    let networks = model.architecture.as_ref().map_or("an architecture that is not recorded".into(), |a| {
        format!("`{}` with input {:?} and {} classes", a.name(), a.input(), a.classes())
    });
    let data = model.data.as_ref().map_or("data that are not recorded".into(), |d| format!("`{}`", d.name));
    let latent = model.latent.as_ref().map_or("none: it runs on standardised weights".into(), |latent| {
        let name = model.config.latent.as_ref().map_or("", |config| config.name());
        let error = record.latent.as_ref().map_or(String::new(), |latent| {
            let held_out = latent.error_held_out.map_or(String::new(), |e| format!(", {e:.3} on held-out runs"));
            format!(
                "; mean squared error of standardised weights {:.3} on {} points{held_out}",
                latent.error, latent.points
            )
        });
        format!("{name}, {} dimensions, {}{error}", latent.dimension(), normalisation(&**latent))
    });
    let residual = model.residual.as_ref().map_or(String::new(), |_| {
        let weight = model.config.residual_noise;
        format!("| residual noise | {weight} of the length of what the latent space leaves out, along directions that networks hardly feel |\n")
    });
    let probe = match model.source.is_probe() {
        true => {
            "\n**This model starts from recorded training initialisations. Its samples show what it memorised; they are not results.**\n"
        }
        false => "",
    };
    let tuned = record.tuned.as_ref().map_or(String::new(), |tuned| {
        format!(
            "| tuned | by adjoint matching towards {}, strength {}, {}; iteration {} of {} kept |\n",
            tuned.reward, tuned.config.strength, tuned.process, tuned.best_iteration, tuned.iterations
        )
    });
    let context = model.context.as_ref().map_or(String::new(), |context| {
        let (e, c) = (&context.encoder, model.config.context.clone().unwrap_or_default());
        format!(
            "| context | support sets of rows `[n, {}]` in {} classes → {} numbers; features: {:?}; dropped with probability {} |\n",
            e.inputs(),
            e.classes(),
            e.dimension(),
            c.features,
            c.context_dropout
        )
    });
    format!(
        "# A law over the weights of networks

Written by Thalweg {version}. It samples weights of {networks}: {p} numbers a network, trained on {data}.
{probe}
| | |
| --- | --- |
| method | {method} on marginals at times {times:?} |
| latent space | {latent} |
{residual}| source | {source} |
| zoo | {zoo}: {training} runs trained on, {validation} held out to choose the step, {test} for reports |
| fit | seed {seed}, {steps} steps; step {best} kept, {held_out} |
{context}{tuned}
```
thalweg sample THIS-FOLDER -n 100 --seed 1 --out samples.safetensors
thalweg eval samples.safetensors --zoo ZOO
```

Judge its samples beside the zoo and the trivial baselines (`thalweg eval`) before believing in them: accuracy without novelty is a copy.
",
        version = record.version,
        method = model.config.method.name(),
        times = model.times,
        source = model.source.describe(),
        zoo = [record.zoo.as_str(), &record.zoo_id].join(" ").trim(),
        training = record.training_runs,
        validation = record.validation_runs,
        test = record.test_runs,
        seed = model.config.seed,
        steps = model.config.steps,
        best = record.best_step,
    )
}
