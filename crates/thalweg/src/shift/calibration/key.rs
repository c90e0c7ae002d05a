//! What tells one request from all others: a key under which its calibration may be kept.
use super::Request;
use super::file::FORMAT;
use crate::shift::base::Sample;

impl Request<'_> {
    /// BLAKE3 of all that the calibration depends on, hexadecimal: f's weights and architecture, rows and their logits and labels, every setting, and the
    /// version of this library.
    pub fn key(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let Request {
            parts,
            methods,
            null,
            level,
            seed,
            columns,
            probabilities,
            stand_in,
            encoding,
            source,
            data,
            choose,
            ..
        } = self;
        let settings = format!(
            "{FORMAT} {} {:?}",
            env!("CARGO_PKG_VERSION"),
            (
                parts.size,
                parts.config,
                methods,
                null,
                level.to_bits(),
                seed,
                columns,
                probabilities,
                (stand_in, encoding),
                source,
                data,
                choose
            )
        );
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        add(settings.as_bytes());
        if let Some(base) = &parts.base {
            match base.architecture() {
                Some(architecture) => add(format!("{architecture:?}").as_bytes()),
                None => add(format!("{:?}", base.name()).as_bytes()),
            }
            add(&of_singles(base.theta()));
        }
        let reference = parts.reference;
        for Sample { inputs, logits, .. } in [&reference.train, &reference.validation, &reference.held_out] {
            add(&of_singles(inputs));
            add(&of_singles(logits));
        }
        for labels in [parts.labels, self.held_out_labels] {
            add(&labels.iter().flat_map(|label| label.to_le_bytes()).collect::<Vec<_>>());
        }
        hasher.finalize().to_hex().to_string()
    }
}

fn of_singles(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
