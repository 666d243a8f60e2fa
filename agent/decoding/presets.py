"""Published methods as steerings, and ours. Each follows the rule its paper or released code computes.

The sources: PANDA (Algorithm 1), ARGS (github.com/deeplearning-wisc/args), PAD (zjuruizhechen/PAD), CoS
(sashrikap/context-steering), CFG (transformers), Linear Alignment (Wizardcoast), AMULET (zowiezhang/Amulet),
CoSteer (USTC-StarTeam/CoSteer), Drift, proxy tuning and DExperts (alisawuffles), MOD (srzer/MOD), GenARM
(Yuancheng-Xu/GenARM), CoPe (cleverscent/CoPe), contrastive decoding. Rules only; no code of theirs is here.

A branch argument is a `Branch`: the conversation under an instruction, another prompt, adapter or model.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mnemon.agent.decoding.constants import amulet_strength, costeer_strength
from mnemon.agent.decoding.gates import ProseOnly
from mnemon.agent.decoding.policies import (
    DEFAULT_EPSILON,
    BestOfSet,
    Fixed,
    KLBudget,
    PrintedPanda,
    ReplyBudget,
)
from mnemon.agent.decoding.rewards import BranchScore, Contrast, ReplyLength
from mnemon.agent.decoding.steering import (
    BASE,
    Branch,
    CandidateReward,
    LambdaPolicy,
    Shortlist,
    Steering,
    Term,
    TokenReward,
)
from mnemon.errors import UsageError

WHOLE = Shortlist(top=None, rest="drop")


def budgeted(
    terms: Sequence[Term],
    *,
    epsilon: float = DEFAULT_EPSILON,
    policy: LambdaPolicy | None = None,
    top: int = 64,
    plausibility: float | None = None,
    prose_only: bool = True,
) -> Steering:
    """Ours: rewards of equal scale under one divergence budget, among plausible tokens, outside code.

    The reply ends where the base model ends it, unless a term is about its length. `plausibility` None: 0.1
    where branches or hidden states are all there is, which are least to be trusted about unlikely tokens;
    0.002 with rules, which know what they want.
    """
    if plausibility is None:
        plausibility = 0.002 if any(_is_rule(term.reward) for term in terms) else 0.1
    return Steering(
        name="mnemon",
        policy=policy if policy is not None else ReplyBudget(epsilon),
        terms=tuple(terms),
        shortlist=Shortlist(top=top, plausibility=plausibility, rest="keep"),
        gates=(ProseOnly(),) if prose_only else (),
        freeze_end=not any(isinstance(term.reward, ReplyLength) for term in terms),
    )


def _is_rule(reward: TokenReward | CandidateReward) -> bool:
    return not isinstance(reward, CandidateReward) and not reward.branches


def _contrast(
    name: str, wanted: Branch, against: Branch, lam: float, *, base: Branch, temperature: float = 1.0
) -> Steering:
    """l_base + λ·(l_wanted − l_against) over the whole vocabulary."""
    return Steering(
        name=name,
        policy=Fixed(lam),
        terms=(Term(name=wanted.name, reward=Contrast(wanted, against), normalise="none"),),
        mix={base.name: 1.0},
        branches=(base,),
        shortlist=WHOLE,
        temperature=temperature,
    )


def context_steering(context: Branch, lam: float, *, temperature: float = 1.0) -> Steering:
    """CoS: l_c + λ·(l_c − l_nc). λ = −1 is no context, 0 the plain prompt with it. τ divides both logits."""
    return _contrast("cos", context, Branch(name=BASE), lam, base=context, temperature=temperature)


def multi_context_steering(contexts: Mapping[str, tuple[Branch, float]]) -> Steering:
    """CoS with several contexts: l_nc + Σ λ_i·(l_i − l_nc)."""
    terms = tuple(
        Term(name=name, reward=Contrast(branch), weight=lam, normalise="none")
        for name, (branch, lam) in contexts.items()
    )
    return Steering(name="cos-multi", policy=Fixed(1.0), terms=terms, shortlist=WHOLE)


def classifier_free_guidance(conditioned: Branch, gamma: float) -> Steering:
    """CFG as in transformers: l_u + γ·(l_c − l_u). The same as CoS at λ = γ − 1."""
    return _contrast("cfg", conditioned, Branch(name=BASE), gamma, base=Branch(name=BASE))


def linear_alignment(principle: Branch, rho: float = 2.0) -> Steering:
    """l_p + ρ·(l_p − l_plain)."""
    return _contrast("linear-alignment", principle, Branch(name=BASE), rho, base=principle)


def amulet(
    preference: Branch, *, steps: int = 60, alpha: float = 2.0, lam: float = 2.0, eta: float = 10.0
) -> Steering:
    """AMULET: its inner loop equals Linear Alignment at a constant strength."""
    strength = amulet_strength(steps=steps, alpha=alpha, lam=lam, eta=eta)
    return _contrast("amulet", preference, Branch(name=BASE), strength, base=preference)


def costeer(
    small_with_context: Branch,
    small: Branch,
    *,
    steps: int = 20,
    alpha: float = 2.0,
    beta: float = 1.0,
    lam: float = 2.0,
    eta: float = 10.0,
) -> Steering:
    """CoSteer: the large model's logits moved by what the profile changes in a small one."""
    strength = costeer_strength(steps=steps, alpha=alpha, beta=beta, lam=lam, eta=eta)
    return _contrast("costeer", small_with_context, small, strength, base=Branch(name=BASE))


def drift(attributes: Mapping[str, tuple[Branch, float]], neutral: Branch, *, beta: float = 1.0) -> Steering:
    """Drift: h_LLM + (1/β)·Σ p_i·(h^{s_i} − h^{neutral}), attributes under system prompts."""
    if beta <= 0:
        raise UsageError(f"beta={beta!r} must be positive.")
    terms = tuple(
        Term(name=name, reward=Contrast(branch, neutral), weight=weight, normalise="none")
        for name, (branch, weight) in attributes.items()
    )
    return Steering(name="drift", policy=Fixed(1 / beta), terms=terms, shortlist=WHOLE)


def proxy_tuning(expert: Branch, anti_expert: Branch, alpha: float = 1.0) -> Steering:
    """logit_base + α·(logit_+ − logit_−): proxy tuning, logit rectification; DExperts with its α = 2."""
    return _contrast("proxy-tuning", expert, anti_expert, alpha, base=Branch(name=BASE))


def dexperts(expert: Branch, anti_expert: Branch, alpha: float = 2.0) -> Steering:
    """DExperts, with its own default strength."""
    return _contrast("dexperts", expert, anti_expert, alpha, base=Branch(name=BASE))


def contrastive_decoding(amateur: Branch, *, plausibility: float = 0.1) -> Steering:
    """l_expert − l_amateur among tokens that the expert finds plausible."""
    return Steering(
        name="contrastive-decoding",
        policy=Fixed(1.0),
        terms=(Term(name="amateur", reward=BranchScore(amateur), weight=-1.0, normalise="none"),),
        shortlist=Shortlist(top=None, plausibility=plausibility, rest="drop"),
    )


def mixture_of_models(weights: Mapping[str, tuple[Branch, float]]) -> Steering:
    """MOD (reverse KL): Σ w_i·logits_i with weights that sum to 1."""
    total = sum(weight for _, weight in weights.values())
    if not np.isclose(total, 1.0):
        raise UsageError(f"MOD's weights sum to {total!r}; they must sum to 1.")
    return Steering(
        name="mod",
        policy=Fixed(0.0),
        mix={branch.name: weight for branch, weight in weights.values()},
        branches=tuple(branch for branch, _ in weights.values()),
        shortlist=WHOLE,
    )


def genarm(rewards: Mapping[str, tuple[Branch, float]]) -> Steering:
    """GenARM: (l_base + Σ α_i·l_ARM,i) / (1 + Σ α_i)."""
    alphas = {name: alpha for name, (_, alpha) in rewards.items()}
    return Steering(
        name="genarm",
        policy=Fixed(1.0),
        terms=tuple(
            Term(name=name, reward=BranchScore(branch), weight=alphas[name], normalise="none")
            for name, (branch, _) in rewards.items()
        ),
        shortlist=WHOLE,
        scale=1 / (1 + sum(alphas.values())),
    )


def pad(personalised: Branch, *, weight: float = 1.0, top: int = 10) -> Steering:
    """PAD as released: l_base + w·(log p_PRM − log p_base) among the base model's ten likeliest."""
    return Steering(
        name="pad",
        policy=Fixed(weight),
        terms=(Term(name=personalised.name, reward=Contrast(personalised), normalise="none"),),
        shortlist=Shortlist(top=top, rest="drop"),
    )


def args(reward: CandidateReward | TokenReward, *, weight: float = 1.5, top: int = 10) -> Steering:
    """ARGS: logit(z) + w·r([x, y, z]) among the k likeliest; greedy, or sampled at a temperature."""
    return Steering(
        name="args",
        policy=Fixed(weight),
        terms=(Term(name="reward", reward=reward, normalise="none"),),
        shortlist=Shortlist(top=top, rest="drop"),
    )


def panda_as_printed(
    reward: CandidateReward | TokenReward, lambdas: Sequence[float], *, top: int = 10
) -> Steering:
    """PANDA's Algorithm 1 to the letter: argmax over z and Λ of π_b(z) + λ·r. Why not: `PrintedPanda`."""
    return Steering(
        name="panda-printed",
        policy=PrintedPanda(tuple(lambdas)),
        terms=(Term(name="reward", reward=reward, normalise="none"),),
        shortlist=Shortlist(top=top, rest="drop"),
    )


def panda(
    reward: CandidateReward | TokenReward,
    lambdas: Sequence[float] = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0),
    *,
    cost: float = 1.0,
    top: int = 10,
) -> Steering:
    """PANDA repaired: log p, a centred and scaled reward, λ chosen for what it gains less what it costs."""
    return Steering(
        name="panda",
        policy=BestOfSet(tuple(lambdas), cost),
        terms=(Term(name="reward", reward=reward, normalise="zscore"),),
        shortlist=Shortlist(top=top, rest="drop"),
    )


def cope(user: Branch, task: Branch, *, alpha: float = 0.1, plausibility: float = 0.1) -> Steering:
    """CoPe: log p_user − α·log p_task among tokens that the user's model finds plausible."""
    return Steering(
        name="cope",
        policy=Fixed(alpha),
        terms=(Term(name=task.name, reward=BranchScore(task), weight=-1.0, normalise="none"),),
        mix={user.name: 1.0},
        branches=(user, task),
        shortlist=Shortlist(top=None, plausibility=plausibility, rest="drop", judge=user.name),
    )


def styled(style: str) -> Steering:
    """StyleVector: one row, nudged by a style that was added under this name. Costs what the base costs."""
    branch = Branch(name="styled", adapter=style)
    return Steering(
        name="style-vector",
        policy=Fixed(0.0),
        mix={branch.name: 1.0},
        branches=(branch,),
        shortlist=WHOLE,
    )


def own_style(style: str, *, weight: float = 2.0) -> Term:
    """What a style makes likelier: StyleVector as one reward among others, under their common budget.

    `style` was added under this name with a strength of 0.5, at which its row still writes well: how far to
    go is the budget's to say. Costs one row.
    """
    styled_branch = Branch(name="styled", adapter=style)
    return Term(name="own style", reward=Contrast(styled_branch), weight=weight, normalise="center")


def grounding(
    without_memories: Branch, *, epsilon: float | None = None, lam: float = 1.0, weight: float = 1.0
) -> Steering:
    """Context-aware decoding: l + λ·(l_with − l_without) the recalled memories, among plausible tokens.

    Give `epsilon` for a budget instead of the fixed λ that was measured to help.
    """
    policy: LambdaPolicy = Fixed(lam) if epsilon is None else KLBudget(epsilon)
    return Steering(
        name="grounding",
        policy=policy,
        terms=(grounding_term(without_memories, weight=weight, raw=epsilon is None),),
        shortlist=Shortlist(top=64, plausibility=0.1, rest="keep"),
        freeze_end=True,
    )


def on_topic(*, weight: float = 0.25) -> Term:
    """What the conversation makes likelier than a request for anything at all: keeps replies to the point.

    A term beside others, under their budget: rules over words draw replies away from what was asked. In the
    contrast's own units, so that it is silent where both agree. Costs one row.
    """
    anything = Branch(name="anything", messages=({"role": "user", "content": "Tell me something."},))
    return Term(
        name="on topic", reward=Contrast(Branch(name=BASE), anything), weight=weight, normalise="center"
    )


def grounding_term(without_memories: Branch, *, weight: float = 1.0, raw: bool = False) -> Term:
    """The same as one term among a persona's, under their common budget."""
    return Term(
        name="memories",
        reward=Contrast(Branch(name=BASE), without_memories),
        weight=weight,
        normalise="center" if raw else "zscore",
    )
