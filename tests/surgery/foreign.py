"""Architectures that others wrote (transformers), small and with random weights."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from torch import nn

Example = dict[str, torch.Tensor]


def image(size: int = 32) -> Example:
    """One image of noise."""
    return {"pixel_values": torch.randn(1, 3, size, size)}


def tokens() -> Example:
    """One sentence of seven tokens."""
    return {"input_ids": torch.randint(2, 50, (1, 7))}


TEXT: dict[str, Any] = {"vocab_size": 50, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 1}
BERT = {**TEXT, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 48}  # fmt: skip
VIT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
       "intermediate_size": 48, "image_size": 32, "patch_size": 8}  # fmt: skip
LLAMA = {**BERT, "num_key_value_heads": 2, "use_cache": False}


def resnet() -> tuple[nn.Module, Example]:
    config = hf.ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[2, 2])
    return hf.ResNetForImageClassification(config), image()


def mobilenet_v2() -> tuple[nn.Module, Example]:
    config = hf.MobileNetV2Config(depth_multiplier=0.35, image_size=32)
    return hf.MobileNetV2ForImageClassification(config), image()


def convnext() -> tuple[nn.Module, Example]:
    config = hf.ConvNextConfig(
        hidden_sizes=[8, 16], depths=[2, 2], num_stages=2, layer_scale_init_value=0.5
    )
    return hf.ConvNextForImageClassification(config), image()


def efficientnet() -> tuple[nn.Module, Example]:
    config = hf.EfficientNetConfig(
        width_coefficient=0.25, depth_coefficient=0.3, image_size=64, hidden_dim=320
    )
    return hf.EfficientNetForImageClassification(config), image(64)


def vit() -> tuple[nn.Module, Example]:
    return hf.ViTForImageClassification(hf.ViTConfig(**VIT)), image()


def swin() -> tuple[nn.Module, Example]:
    config = hf.SwinConfig(
        image_size=32, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4
    )
    return hf.SwinForImageClassification(config), image()


def bert() -> tuple[nn.Module, Example]:
    return hf.BertForSequenceClassification(hf.BertConfig(**BERT)), tokens()


def gpt2() -> tuple[nn.Module, Example]:
    config = hf.GPT2Config(**TEXT, n_embd=32, n_layer=2, n_head=4, n_positions=16, use_cache=False)
    return hf.GPT2LMHeadModel(config), tokens()


def llama() -> tuple[nn.Module, Example]:
    return hf.LlamaForCausalLM(hf.LlamaConfig(**LLAMA)), tokens()


def t5() -> tuple[nn.Module, Example]:
    config = hf.T5Config(
        vocab_size=50, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, use_cache=False
    )
    example = {**tokens(), "decoder_input_ids": torch.randint(2, 50, (1, 5))}
    return hf.T5ForConditionalGeneration(config), example


def regnet() -> tuple[nn.Module, Example]:
    config = hf.RegNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 2], groups_width=4)
    return hf.RegNetForImageClassification(config), image()


def mobilevit() -> tuple[nn.Module, Example]:
    config = hf.MobileViTConfig(
        image_size=64, hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 12, 16, 20, 24, 28, 64]
    )
    return hf.MobileViTForImageClassification(config), image(64)


def segformer() -> tuple[nn.Module, Example]:
    config = hf.SegformerConfig(
        hidden_sizes=[8, 16, 24, 32], num_attention_heads=[1, 2, 3, 4], depths=[1, 1, 1, 1]
    )
    return hf.SegformerForImageClassification(config), image(64)


def distilbert() -> tuple[nn.Module, Example]:
    config = hf.DistilBertConfig(vocab_size=50, dim=32, n_layers=2, n_heads=4, hidden_dim=48)
    return hf.DistilBertForSequenceClassification(config), tokens()


def opt() -> tuple[nn.Module, Example]:
    config = hf.OPTConfig(
        **TEXT, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48,
        word_embed_proj_dim=32, use_cache=False,
    )  # fmt: skip
    return hf.OPTForCausalLM(config), tokens()


def qwen2() -> tuple[nn.Module, Example]:
    return hf.Qwen2ForCausalLM(hf.Qwen2Config(**LLAMA)), tokens()


def albert() -> tuple[nn.Module, Example]:
    config = hf.AlbertConfig(**BERT, embedding_size=16)
    return hf.AlbertForSequenceClassification(config), tokens()


def deit() -> tuple[nn.Module, Example]:
    return hf.DeiTForImageClassification(hf.DeiTConfig(**VIT)), image()


def poolformer() -> tuple[nn.Module, Example]:
    config = hf.PoolFormerConfig(
        hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_scale_init_value=0.5
    )
    return hf.PoolFormerForImageClassification(config), image(64)


def levit() -> tuple[nn.Module, Example]:
    config = hf.LevitConfig(
        image_size=64, hidden_sizes=[16, 24, 32], num_attention_heads=[2, 3, 4], depths=[1, 1, 1],
        key_dim=[8, 8, 8],
    )  # fmt: skip
    return hf.LevitForImageClassification(config), image(64)


def gpt_neox() -> tuple[nn.Module, Example]:
    """Only some features of a head turn with the position; query, key, value in one weight."""
    return hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**BERT, use_cache=False)), tokens()


def qwen3() -> tuple[nn.Module, Example]:
    """Queries and keys are normalised in each head."""
    return hf.Qwen3ForCausalLM(hf.Qwen3Config(**LLAMA, head_dim=8)), tokens()


def swinv2() -> tuple[nn.Module, Example]:
    config = hf.Swinv2Config(
        image_size=32, patch_size=4, embed_dim=16, depths=[1, 2], num_heads=[2, 4], window_size=4
    )
    return hf.Swinv2ForImageClassification(config), image()


def mamba() -> tuple[nn.Module, Example]:
    config = hf.MambaConfig(
        **TEXT, hidden_size=16, state_size=4, num_hidden_layers=1, use_cache=False
    )
    return hf.MambaForCausalLM(config), tokens()


def wav2vec2() -> tuple[nn.Module, Example]:
    """A convolution with weight norm."""
    config = hf.Wav2Vec2Config(
        vocab_size=20, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, conv_dim=(8, 8, 10), conv_stride=(5, 2, 2), conv_kernel=(10, 3, 3),
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    return hf.Wav2Vec2ForCTC(config), {"input_values": torch.randn(1, 800)}


def detr() -> tuple[nn.Module, Example]:
    backbone = hf.ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], out_features=["stage2"]
    )
    config = hf.DetrConfig(
        use_timm_backbone=False, backbone=None, backbone_config=backbone, d_model=32,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=48, decoder_ffn_dim=48, num_queries=5,
    )  # fmt: skip
    return hf.DetrForObjectDetection(config), image(64)


QUICK = {"gpt2": gpt2, "swin": swin, "llama": llama}
SLOW = {
    "resnet": resnet, "mobilenet_v2": mobilenet_v2, "convnext": convnext,
    "efficientnet": efficientnet, "vit": vit, "bert": bert, "t5": t5, "regnet": regnet,
    "mobilevit": mobilevit, "segformer": segformer, "distilbert": distilbert, "opt": opt,
    "qwen2": qwen2, "albert": albert, "deit": deit, "poolformer": poolformer, "levit": levit,
    "gpt_neox": gpt_neox, "qwen3": qwen3, "swinv2": swinv2, "mamba": mamba, "wav2vec2": wav2vec2,
    "detr": detr,
}  # fmt: skip
