"""Model cards of networks."""


def networks_card(nets):
    """The README.md of a folder of networks."""
    what = f"`{nets.architecture.name}`" if nets.architecture else "an architecture that is not recorded"
    data = f"`{nets.data['name']}`" if nets.data else "data that are not recorded"
    return f"""---
library_name: thalweg
tags: [weight-space]
---

# {len(nets)} networks of {nets.parameters} weights

Networks of {what}, for {data}. `model.safetensors` holds them as `theta [n, P]`; `config.json` has names and shapes of their tensors in order.

```python
import thalweg as tw
nets = tw.Networks.from_pretrained("this folder")
nets.state_dicts("torch")
```
"""
