//! Filters of the first layer of a network on its way along a flow, as images.
use super::pixels::{ACROSS, gallery};
use thalweg_nets::architecture::Architecture;
use thalweg_nets::layout::Layout;

/// The filters with the greatest norms at the end, each at every one of `times`; `states[k]` is the network θ `[P]` at `times[k]`. Grey is 0, and all
/// share one scale. Nothing where the first layer's filters are not images of one or three channels.
pub fn filters(architecture: &Architecture, times: &[f64], states: &[&[f32]]) -> Option<String> {
    let layout = Layout::of(architecture);
    let slot = layout.slots().iter().find(|slot| slot.shape.len() >= 2)?;
    let input = architecture.input();
    let shape = match slot.shape[..] {
        [_, channels, height, width] => [channels, height, width],
        [_, inputs] if inputs == input.iter().product::<usize>() => input,
        _ => return None,
    };
    if !matches!(shape[0], 1 | 3) || shape[1] < 2 || shape[2] < 2 {
        return None;
    }
    let size = shape.iter().product();
    let ends = states.last()?[slot.range()].chunks_exact(size);
    let norms: Vec<f32> = ends.map(|filter| filter.iter().map(|v| v * v).sum()).collect();
    let mut chosen: Vec<usize> = (0..norms.len()).collect();
    chosen.sort_by(|&a, &b| norms[b].total_cmp(&norms[a]));
    chosen.truncate(ACROSS);
    let mut images = Vec::new();
    for (theta, t) in states.iter().zip(times) {
        let all: Vec<&[f32]> = theta[slot.range()].chunks_exact(size).collect();
        images.extend(chosen.iter().map(|&unit| (all[unit], format!("filter {}, t = {t:.2}", unit + 1))));
    }
    let most = images.iter().flat_map(|(image, _)| *image).fold(0.0f32, |most, v| most.max(v.abs()));
    Some(gallery(shape, &images, chosen.len(), Some((-most, most))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::architecture::Preset;

    #[test]
    fn the_strongest_filters_are_shown_at_every_time() {
        let architecture = Preset::Digits.build([1, 8, 8], 10).unwrap();
        let p = Layout::of(&architecture).len();
        // Of six filters of 3 × 3, filter 4 alone is not zero at the end: white and black on grey.
        let (start, mut end) = (vec![0.0; p], vec![0.0; p]);
        end[27..36].copy_from_slice(&[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, -1.0, -1.0]);
        let svg = filters(&architecture, &[0.0, 1.0], &[&start, &end]).unwrap();
        assert_eq!(svg.matches("<text").count(), 12);
        assert_eq!((svg.matches("#ffffff").count(), svg.matches("#000000").count()), (1, 1));
        let (first, second) = (svg.find("filter 4, t = 1.00").unwrap(), svg.find("filter 1, t = 1.00").unwrap());
        assert!(first < second, "the strongest comes first");
    }

    #[test]
    fn features_of_a_table_are_no_images() {
        let architecture = Preset::Mlp { widths: vec![4] }.build([13, 1, 1], 2).unwrap();
        let theta = vec![0.5; Layout::of(&architecture).len()];
        assert!(filters(&architecture, &[1.0], &[&theta]).is_none());
    }
}
