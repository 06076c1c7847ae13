"""DeepSeek-V3 (2024): latent attention, and many small experts after a few dense blocks."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from model.balance import BalanceBias
from model.config import TransformerConfig
from model.families.forms import HeadsIn, HeadsOut, Joined, JoinedByHead, Transposed
from model.families.link import Link, link
from model.families.llama import Llama
from model.families.mixtral import expert_links
from model.families.published import Published
from model.families.rope import published_rope
from model.feedforward import FeedForwardPlan, GatedMLP, LeadingFeedForward
from model.latent_attention import LatentAttention
from model.mixing import MixingPlan
from model.moe import MoE
from model.norms import RMSNorm
from model.positions import Rope
from model.router import Sigmoid


class DeepSeekV3(Llama):
    """Sigmoid router within groups of experts, whose load a bias keeps even; one shared expert."""

    name = "deepseek_v3"
    architectures = ("DeepseekV3ForCausalLM",)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "DeepSeek-V3": {
            "vocab_size": 129280, "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
            "num_hidden_layers": 61, "num_attention_heads": 128, "n_shared_experts": 1, "n_routed_experts": 256,
            "routed_scaling_factor": 2.5, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64,
            "v_head_dim": 128, "qk_nope_head_dim": 128, "n_group": 8, "topk_group": 4, "num_experts_per_tok": 8,
            "first_k_dense_replace": 3, "norm_topk_prob": True, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
            "max_position_embeddings": 163840,
            "rope_scaling": {
                "type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "beta_fast": 32,
                "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0,
            },
        },
    }  # fmt: skip

    def attention(self, published: Published) -> MixingPlan:
        """Latent attention."""
        get = published.get
        published.only("attention_bias", False)
        return LatentAttention(
            get("num_attention_heads"),
            kv_rank=get("kv_lora_rank"),
            query_rank=get("q_lora_rank", 0),
            plain_dim=get("qk_nope_head_dim"),
            rotary_dim=get("qk_rope_head_dim"),
            value_dim=get("v_head_dim"),
            positions=self.rope(published, interleaved=bool(get("rope_interleave", True))),
            norm=RMSNorm(1e-6),
        )

    def feedforward(self, published: Published) -> FeedForwardPlan:
        """Dense layers first, then experts."""
        get = published.get
        published.only("scoring_func", "sigmoid")
        published.only("topk_method", "noaux_tc")
        published.only("moe_layer_freq", 1)
        dense, expert = super().feedforward(published), GatedMLP(get("moe_intermediate_size"))
        router = Sigmoid(
            get("n_group", 1), get("topk_group", 1), bool(get("norm_topk_prob", True)),
            float(get("routed_scaling_factor", 1.0)),
        )  # fmt: skip
        shared = GatedMLP(get("n_shared_experts", 1) * expert.hidden)
        moe = MoE(
            get("n_routed_experts"), get("num_experts_per_tok"), expert, router, shared=shared, balance=BalanceBias()
        )
        first, layers = get("first_k_dense_replace", 0), get("num_hidden_layers")
        if first >= layers:
            return dense
        return LeadingFeedForward(first, dense, moe) if first else moe

    def keys(self, config: TransformerConfig) -> dict[str, Any]:
        """The keys of a config.json."""
        attention = self.part(config.attention.at(0), LatentAttention, "attention")
        norm = self.part(config.norm, RMSNorm, "norm")
        positions = self.part(attention.positions, Rope, "attention.positions")
        return {
            "architectures": [self.architectures[0]],
            "model_type": self.name,
            "num_hidden_layers": config.layers,
            "hidden_size": config.embed,
            "vocab_size": config.vocab,
            "num_attention_heads": attention.heads,
            "num_key_value_heads": attention.heads,
            "kv_lora_rank": attention.kv_rank,
            "q_lora_rank": attention.query_rank or None,
            "qk_nope_head_dim": attention.plain_dim,
            "qk_rope_head_dim": attention.rotary_dim,
            "v_head_dim": attention.value_dim,
            "rope_interleave": positions.interleaved,
            "attention_bias": False,
            "rms_norm_eps": norm.eps,
            "tie_word_embeddings": config.tie_embeddings,
            "initializer_range": config.parametrization.std,
            **self.feedforward_keys(config),
            **published_rope(positions),
        }

    def feedforward_keys(self, config: TransformerConfig) -> dict[str, Any]:
        """Those of dense layers and experts."""
        layers = [config.feedforward.at(i) for i in range(config.layers)]
        first = next((i for i, layer in enumerate(layers) if isinstance(layer, MoE)), len(layers))
        moe = self.part(layers[-1], MoE, "feedforward")
        router = self.part(moe.router, Sigmoid, "feedforward.router")
        shared = self.part(moe.shared, GatedMLP, "feedforward.shared")
        dense = self.part(layers[0], GatedMLP, "feedforward") if first else moe.expert
        return {
            "first_k_dense_replace": first,
            "intermediate_size": dense.hidden,
            "hidden_act": "silu",
            "moe_intermediate_size": moe.expert.hidden,
            "n_routed_experts": moe.experts,
            "num_experts_per_tok": moe.top_k,
            "n_shared_experts": shared.hidden // moe.expert.hidden,
            "n_group": router.groups,
            "topk_group": router.kept_groups,
            "norm_topk_prob": router.normalise,
            "routed_scaling_factor": router.scale,
        }

    def attention_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """Down to the vectors and up to the heads."""
        spec: LatentAttention = config.attention.at(block)
        ours, theirs = f"blocks.{block}.attention", f"model.layers.{block}.self_attn"
        if spec.query_rank:
            yield link(f"{ours}.query_down", f"{theirs}.q_a_proj.weight", Transposed())
            yield link(f"{ours}.query_norm.scale", f"{theirs}.q_a_layernorm.weight")
        query = "q_b_proj" if spec.query_rank else "q_proj"
        yield link(f"{ours}.query_up", f"{theirs}.{query}.weight", HeadsIn(spec.heads))
        yield Link(
            (f"{ours}.latent_down", f"{ours}.rotary_key"),
            (f"{theirs}.kv_a_proj_with_mqa.weight",),
            Joined((spec.kv_rank, spec.rotary_dim), (Transposed(), Transposed())),
        )
        yield link(f"{ours}.latent_norm.scale", f"{theirs}.kv_a_layernorm.weight")
        yield Link(
            (f"{ours}.key_up", f"{ours}.value_up"),
            (f"{theirs}.kv_b_proj.weight",),
            JoinedByHead(spec.heads, (HeadsIn(spec.heads),) * 2, (spec.plain_dim, spec.value_dim)),
        )
        yield link(f"{ours}.output", f"{theirs}.o_proj.weight", HeadsOut(spec.heads))

    def feedforward_links(self, config: TransformerConfig, block: int) -> Iterator[Link]:
        """A dense layer, or router, experts and what is shared."""
        spec = config.feedforward.at(block)
        if not isinstance(spec, MoE):
            yield from super().feedforward_links(config, block)
            return
        ours, theirs = f"blocks.{block}.feedforward", f"model.layers.{block}.mlp"
        yield link(f"{ours}.router.weight", f"{theirs}.gate.weight", Transposed())
        yield link(f"{ours}.balance_bias", f"{theirs}.gate.e_score_correction_bias")
        yield from expert_links(ours, theirs, spec.experts)
        for role in ("gate", "up", "down"):
            yield link(f"{ours}.shared.{role}", f"{theirs}.shared_experts.{role}_proj.weight", Transposed())

    def surplus(self, config: TransformerConfig, name: str) -> bool:
        """Besides Llama's: the blocks after the last, which predict further tokens and which no logit needs."""
        parts = name.split(".")
        further = parts[:2] == ["model", "layers"] and parts[2].isdigit() and int(parts[2]) >= config.layers
        return further or super().surplus(config, name)
