"""The peer of the training benchmark: the same model and step in PyTorch, eager or through `torch.compile`.

GPT-2 as nanoGPT writes it, with pre-LayerNorm, no biases, learned positions, tied embeddings and no
dropout; AdamW that decays matrices only; gradients clipped to a global norm of 1.
"""

import json
import math
import sys
import time

import torch
from torch import nn
from torch.nn import functional

from experiments.benchmarks.shapes import Shape
from experiments.benchmarks.turns import serve


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, embed: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(embed, bias=False)
        self.qkv = nn.Linear(embed, 3 * embed, bias=False)
        self.attention_out = nn.Linear(embed, embed, bias=False)
        self.mlp_norm = nn.LayerNorm(embed, bias=False)
        self.mlp_in = nn.Linear(embed, 4 * embed, bias=False)
        self.mlp_out = nn.Linear(4 * embed, embed, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, seq, embed] to the same."""
        batch, seq, embed = x.shape
        q, k, v = (
            part.view(batch, seq, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.attention_norm(x)).split(embed, dim=2)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(batch, seq, embed))
        return x + self.mlp_out(functional.gelu(self.mlp_in(self.mlp_norm(x))))


class GPT(nn.Module):
    """Token ids [batch, seq] to logits [batch, seq, vocab]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.tokens = nn.Embedding(shape.vocab, shape.embed)
        self.positions = nn.Embedding(shape.context, shape.embed)
        self.blocks = nn.ModuleList(Block(shape.embed, shape.heads) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.embed, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                residual = name.endswith(("attention_out.weight", "mlp_out.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * shape.layers) if residual else 0.02)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.norm(x), self.tokens.weight)


def optimizer_of(model: nn.Module, fused: bool) -> torch.optim.AdamW:
    """AdamW that decays matrices only; `fused` takes PyTorch's own one-pass kernel."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), fused=fused)


def main() -> None:
    """Builds the model and serves its step."""
    settings = json.loads(sys.argv[1])
    torch.set_num_threads(settings.pop("threads"))
    fused, compiled = settings.pop("fused"), settings.pop("compiled")
    torch.manual_seed(0)
    shape = Shape(**settings)
    model = GPT(shape)
    optimizer = optimizer_of(model, fused)
    forward = torch.compile(model) if compiled else model
    ids = torch.randint(shape.vocab, (shape.batch, shape.context + 1))

    def run(steps: int) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            logits = forward(ids[:, :-1])
            loss = functional.cross_entropy(logits.view(-1, shape.vocab), ids[:, 1:].reshape(-1))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        loss.item()
        return time.perf_counter() - began

    serve(run)


if __name__ == "__main__":
    main()
