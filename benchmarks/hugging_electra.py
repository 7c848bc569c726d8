"""ELECTRA pretraining as it is usually put together from Hugging Face's modules: the peer of our step.

Two models that share the embeddings, padded rows of one text each, 15 % of the tokens masked, logits of the generator
at every place (masked_only: at the masked ones), a sample, the discriminator, AdamW.
"""

import torch
from torch.nn import functional

PAD, MASK = 0, 4


class Recipe:
    """tokens, mask of attention: (B, S). dropout 0, as ours has none."""

    def __init__(self, config, device: torch.device, masked_only: bool = False):
        """config: trainer.model.Config, of layers that share nothing (theirs cannot)."""
        from transformers import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining

        def shape(tower):
            return ElectraConfig(
                vocab_size=config.vocabulary, embedding_size=config.embedding, hidden_size=tower.hidden,
                num_hidden_layers=tower.layers, num_attention_heads=tower.heads, intermediate_size=4 * tower.hidden,
                hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, max_position_embeddings=config.positions,
            )  # fmt: skip

        torch.manual_seed(0)
        self.generator = ElectraForMaskedLM(shape(config.generator)).to(device)
        self.discriminator = ElectraForPreTraining(shape(config.discriminator)).to(device)
        self.generator.electra.embeddings = self.discriminator.electra.embeddings
        self.generator.tie_weights()
        self.masked_only = masked_only
        weights = {id(w): w for m in (self.generator, self.discriminator) for w in m.parameters()}
        self.weights = list(weights.values())
        self.adam = torch.optim.AdamW(self.weights, 5e-4, (0.9, 0.999), 1e-6, 0.01, fused=True)

    def loss(self, tokens: torch.Tensor, attended: torch.Tensor, share: float = 0.15) -> torch.Tensor:
        chosen = (torch.rand(tokens.shape, device=tokens.device) < share) & attended.bool() & (tokens > MASK)
        inputs = tokens.masked_fill(chosen, MASK)
        states = self.generator.electra(input_ids=inputs, attention_mask=attended).last_hidden_state
        if self.masked_only:
            states = states[chosen]
        logits = self.generator.generator_lm_head(self.generator.generator_predictions(states))
        logits = logits if self.masked_only else logits[chosen]
        fill = functional.cross_entropy(logits.float(), tokens[chosen])
        with torch.no_grad():
            noise = -torch.log(-torch.log(torch.rand_like(logits, dtype=torch.float32).clamp(1e-9, 1 - 1e-7)))
            sampled = (logits.float() + noise).argmax(-1)
        corrupted = tokens.clone()
        corrupted[chosen] = sampled
        labels = (corrupted != tokens).float()
        found = self.discriminator(input_ids=corrupted, attention_mask=attended).logits.float()
        real = attended.bool()
        return fill + 50 * functional.binary_cross_entropy_with_logits(found[real], labels[real])

    def step(self, tokens: torch.Tensor, attended: torch.Tensor) -> None:
        self.loss(tokens, attended).backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
