"""What the user says about one fit. None means: the measured default for method and size."""

from __future__ import annotations

from typing import Literal

from fewtune.base.options import Options, option


class TrainOptions(Options):
    """The loop's options, by Hugging Face's names."""

    learning_rate: float | None = option(None, "peak rate; by method and size of data", gt=0)
    head_learning_rate: float | None = option(None, "the head's own rate", gt=0)
    num_train_epochs: float | None = option(None, "passes over the training rows", gt=0)
    max_steps: int | None = option(None, "optimiser steps; wins over num_train_epochs", ge=1)
    per_device_train_batch_size: int = option(16, "rows in one forward pass", ge=1)
    gradient_accumulation_steps: int = option(1, "forward passes per optimiser step", ge=1)
    weight_decay: float = option(0.01, "AdamW's weight decay, matrices only", ge=0)
    adam_beta1: float = option(0.9, "AdamW's beta1", ge=0, lt=1)
    adam_beta2: float = option(0.999, "AdamW's beta2", ge=0, lt=1)
    adam_epsilon: float = option(1e-8, "AdamW's epsilon", gt=0)
    max_grad_norm: float = option(1.0, "gradients are clipped to this norm; 0 turns it off", ge=0)
    lr_scheduler_type: Literal["linear", "cosine", "constant"] = option(
        "linear", "the rate after the warm-up"
    )
    warmup_ratio: float = option(0.1, "share of the steps that warm up", ge=0, le=1)
    dropout: float | None = option(None, "dropout in trained blocks; by default none", ge=0, lt=1)
    label_smoothing_factor: float = option(0.0, "share of a label given to the others", ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = option("none", "weight classes by 1/frequency")
    start_head: Literal["probe", "zero"] = option(
        "probe", "the head starts as the probe fitted on frozen features, or at zero"
    )
    early_stopping_patience: int | None = option(
        None, "evaluations without improvement before the end; needs validation rows", ge=1
    )
    metric_for_best_model: Literal["log_loss", "accuracy"] = option(
        "log_loss", "the metric that early stopping watches"
    )
    load_best_model_at_end: bool | None = option(
        None, "keep the best evaluation's weights; by default with early stopping"
    )
    eval_steps: int | None = option(None, "steps between evaluations; default once an epoch", ge=1)
    average_last: int | None = option(
        None, "average the weights of k steps in the last fifth; 0 turns it off", ge=0
    )
    wise_ft_alpha: float | None = option(
        None, "how far from the start to the trained weights the final ones lie", gt=0, le=1
    )
    cache_trunk: bool = option(True, "run blocks below the lowest trained one only once")
    save_steps: int | None = option(None, "steps between checkpoints; default once a minute", ge=1)
    gradient_checkpointing: bool = option(False, "recompute activations to save memory")
