"""torchcfm (Tong et al. 2024) beside Thalweg: the same path, the same targets, the same loss on the same batches."""
import numpy as np
import pytest

torch = pytest.importorskip("torch")
cfm = pytest.importorskip("torchcfm.conditional_flow_matching", reason="torchcfm is not installed: pip install thalweg[peers]", exc_type=ImportError)


@pytest.fixture(scope="module")
def curves(zoo, model):
    """Starts and ends of the runs as points of the model, [2, R, D]."""
    theta = zoo.theta()
    return np.stack([model.points(theta[:, k]) for k in (0, -1)])


def test_the_matcher_and_our_path_are_one(model, curves):
    ours = model.batch(curves, seed=3)
    start, end = map(torch.tensor, curves)
    t, x, u = cfm.ConditionalFlowMatcher(sigma=0.0).sample_location_and_conditional_flow(start, end, t=torch.tensor(ours.t))
    assert np.abs(x.numpy() - ours.x).max() < 1e-5 and np.abs(u.numpy() - ours.u).max() < 1e-5
    # Our field on their records gives, by their loss, the loss that training reads.
    v = torch.tensor(model.velocity(x.numpy(), t.numpy()))
    assert torch.mean((v - u) ** 2).item() == pytest.approx(ours.loss, rel=1e-4)
    assert ours.loss > 0


def test_a_field_of_torchcfm_learns_from_our_batches_what_it_learns_from_theirs(model, curves):
    from torchcfm.models.models import MLP

    def trained(batches):
        torch.manual_seed(0)
        field = MLP(curves.shape[2], w=16, time_varying=True)
        optimiser = torch.optim.AdamW(field.parameters(), lr=1e-3)
        losses = []
        for t, x, u in batches:
            loss = torch.mean((field(torch.cat([x, t[:, None]], -1)) - u) ** 2)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return losses

    ours = [model.batch(curves, seed) for seed in range(20)]
    start, end = map(torch.tensor, curves)
    matcher = cfm.ConditionalFlowMatcher(sigma=0.0)
    theirs = [matcher.sample_location_and_conditional_flow(start, end, t=torch.tensor(batch.t)) for batch in ours]
    by_ours, by_theirs = trained([tuple(map(torch.tensor, (b.t, b.x, b.u))) for b in ours]), trained(theirs)
    assert np.allclose(by_ours, by_theirs, rtol=1e-4)
    assert by_ours[-1] < by_ours[0]
