"""Configuration of an OmniVoice checkpoint and of its audio tokenizer, read from their JSON files; and its languages.

Nothing has a default: a key that is missing means another release.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated

from models.tts.checkpoint import Section, TransformerShape, read_section, read_shape
from pipeline.errors import ModelError, Refused
from pipeline.languages import language_name, primary

AUDIO_TOKENIZER = "audio_tokenizer"
"""Folder of the audio tokenizer in the checkpoint."""

POSITIONS = 1024
"""Positions of tags, text and reference speech before a unit's own frames, for which memory is allocated."""

MOST_FRAMES = 400
"""Most frames of one unit, 16 s: upstream cuts longer texts into pieces of 15 s."""

UNUSED = ("codebook_layer_offsets", "decoder_semantic.", "fc1.", "semantic_model.masked_spec_embed")
"""Beginnings of the names of tensors that only training needs, or that are known without them."""

_RELEASE = "k2-fsa/OmniVoice as the setting model of this synthesizer"


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Configuration of the masked speech model."""

    transformer: TransformerShape
    text_vocabulary: int
    codebooks: Annotated[int, "num_audio_codebook"]
    codes: Annotated[int, "audio_vocab_size"]  # of a codebook, the mask included
    mask: Annotated[int, "audio_mask_id"]  # the code of a place that is not yet decided


@dataclass(frozen=True, slots=True)
class SemanticConfig:
    """Geometry of the HuBERT that hears what is said in a reference clip, and of the layers behind it."""

    width: Annotated[int, "hidden_size"]
    layers: Annotated[int, "num_hidden_layers"]
    heads: Annotated[int, "num_attention_heads"]
    intermediate: Annotated[int, "intermediate_size"]
    norm_eps: Annotated[float, "layer_norm_eps"]
    channels: Annotated[tuple[int, ...], "conv_dim"]
    kernels: Annotated[tuple[int, ...], "conv_kernel"]
    strides: Annotated[tuple[int, ...], "conv_stride"]
    conv_bias: bool
    norm_each: bool  # a layer norm behind each convolution, else one group norm behind the first
    norm_features: bool
    position_kernel: Annotated[int, "num_conv_pos_embeddings"]
    position_groups: Annotated[int, "num_conv_pos_embedding_groups"]
    sample_rate: int
    kernel: int  # of the layers behind it
    unit_kernel: int
    block_strides: tuple[int, ...]
    block_ratios: tuple[int, ...]
    block_dilations: tuple[int, ...]
    downsample: int


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    """Geometry of the audio tokenizer: RVQ between an encoder and a decoder of the DAC."""

    sample_rate: Annotated[int, "sample_rate"]
    codebooks: int
    codes: Annotated[int, "codebook_size"]
    code_width: Annotated[int, "codebook_dim"]
    acoustic_width: int
    encoder_width: int
    decoder_width: int
    downsampling: tuple[int, ...]
    upsampling: tuple[int, ...]
    semantic: SemanticConfig

    @property
    def samples_per_frame(self) -> int:
        """Samples of one frame of codes."""
        return prod(self.downsampling)

    @property
    def frame_rate(self) -> int:
        """Frames a second."""
        return -(-self.sample_rate // self.samples_per_frame)

    @property
    def width(self) -> int:
        """Width of what is quantized: the acoustic and the semantic features."""
        return self.acoustic_width + self.semantic.width


def read_model_config(folder: Path) -> ModelConfig:
    """Read ``config.json`` of a checkpoint folder; raises `ModelError` naming what is missing or unsupported."""
    root = read_section(folder / "config.json")
    if root.values.get("model_type") != "omnivoice":
        raise ModelError(
            f"{root.where}: model_type is {root.values.get('model_type')!r}; this engine runs 'omnivoice'", hint=_RELEASE
        )
    model = root.section("llm_config")
    config = root.fill(ModelConfig, transformer=read_shape(model), text_vocabulary=model.integer("vocab_size"))
    if config.mask != config.codes - 1:
        raise ModelError(f"{root.where}: audio_mask_id is {config.mask}, the last of {config.codes} codes is expected")
    return config


def read_tokenizer_config(folder: Path, model: ModelConfig) -> TokenizerConfig:
    """Read ``audio_tokenizer/config.json`` of a checkpoint folder, which must fit its ``model``."""
    root = read_section(folder / AUDIO_TOKENIZER / "config.json")
    if root.values.get("model_type") != "higgs_audio_v2_tokenizer":
        raise ModelError(
            f"{root.where}: model_type is {root.values.get('model_type')!r}, 'higgs_audio_v2_tokenizer' is expected",
            hint=_RELEASE,
        )
    acoustic = root.section("acoustic_model_config")
    down = _numbers(acoustic, "downsampling_ratios")
    bits = (root.integer("codebook_size") - 1).bit_length()
    frame_rate = -(-root.integer("sample_rate") // prod(down))
    config = root.fill(
        TokenizerConfig,
        codebooks=int(1000 * root.take("target_bandwidths", list)[-1] // (frame_rate * bits)),
        acoustic_width=acoustic.integer("hidden_size"),
        encoder_width=acoustic.integer("encoder_hidden_size"),
        decoder_width=acoustic.integer("decoder_hidden_size"),
        downsampling=down,
        upsampling=_numbers(acoustic, "upsampling_ratios"),
        semantic=_semantic(root, prod(down)),
    )
    if prod(config.upsampling) != config.samples_per_frame:
        raise ModelError(f"{acoustic.where}: upsampling_ratios and downsampling_ratios are of different frames")
    if (config.codebooks, config.codes) != (model.codebooks, model.mask):
        raise ModelError(
            f"{root.where}: {config.codebooks} codebooks of {config.codes} codes; the model beside it has "
            f"{model.codebooks} of {model.mask}: they belong to different releases",
            hint=_RELEASE,
        )
    return config


def _semantic(root: Section, samples_per_frame: int) -> SemanticConfig:
    hubert = root.section("semantic_model_config")
    if hubert.values.get("do_stable_layer_norm") or hubert.values.get("conv_pos_batch_norm"):
        raise ModelError(f"{hubert.where}: do_stable_layer_norm and conv_pos_batch_norm are not supported")
    rate = root.integer("semantic_sample_rate")
    return hubert.fill(
        SemanticConfig,
        conv_bias=bool(hubert.values.get("conv_bias")),
        norm_each=hubert.take("feat_extract_norm", str) == "layer",
        norm_features=bool(hubert.values.get("feat_proj_layer_norm", True)),
        sample_rate=rate,
        kernel=root.integer("kernel_size"),
        unit_kernel=root.integer("unit_kernel_size"),
        block_strides=_numbers(root, "strides"),
        block_ratios=_numbers(root, "channel_ratios"),
        block_dilations=_numbers(root, "block_dilations"),
        downsample=int(samples_per_frame / (root.integer("sample_rate") / rate) / root.integer("downsample_factor")),
    )


def _numbers(section: Section, key: str) -> tuple[int, ...]:
    return tuple(int(value) for value in section.take(key, list))


_TAGS = {"ar": "arb", "ne": "npi", "or": "ory"}
"""The model's ids where they are not ISO 639-1: Standard Arabic, Nepali, Odia."""


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


MEASURED = _codes(
    "af am ar as ast az be bn bs ca ceb ckb cs cy da de el en es et fa ff fi fil fr ga gl gu ha he hi hr hu hy id ig is "
    "it ja jv ka kam kea kk km kn ko ky lb lg ln lo lt luo lv mi mk ml mn mr ms mt my nb ne nl nso ny oc om or pa pl ps "
    "pt ro ru sd sk sl sn so sr sv sw ta te tg th tr uk umb ur uz vi wo xh yo yue zh zu"
)
"""Languages of FLEURS (arXiv:2205.12446), on which its authors measured character error rates (arXiv:2604.00688)."""

UNMEASURED = _codes(
    "aae aal aao ab abb abn abr abs abv acm acw acx adf adx ady aeb aec afb afo ahl ahs ajg aju ala aln alo amu an anc "
    "ank anp anw aom apc apd arq ars ary arz avl awo ayl ayp ba bag bas bax bba bbj bbl bbu bce bci bcs bcy bda bde bdm "
    "beb bew bfd bft bg bgp bhb bhh bho bhp bhr bjj bjk bjn bjt bkh bkm bky bmm bmq bnm bnn bns bo bou bqg br bra brh "
    "bri brx bsh bsj bsk btm btv bug bum buo bux bwr bxf byc bys byv byx bzc bzw ccg cen cfa cgg chq cjk ckl ckr cky "
    "cnh cpy cte ctl cut cux cv dag dar dav dbd dcc deg dgh dgo dje dmk dml dru dty dua dv dyu dzg ebr ebu ego eiv eko "
    "ekr elm eo esu eto ets etu eu ewo ext eyo fan fat ffm fia fip fkk fmp fub fuc fue fuf fuh fui fuq fuv fy gbm gbr "
    "gby gcc gdf gej ges ggg gid gig giz gjk gju glw gn gol gom gsl gui gur guz gv gwc gwe gwt gya gyz hah hao haw haz "
    "hbb hem hia hkk hla hno hoj hsb ht hue hul hux hwo hz ia ibb ida idu ijc ijn ik ikw ish iso its itw itz jal jax "
    "jgo jmx jns jqr juk juo kab kai kaj kbd kbl kbt kcq kdh keu kfe kfk kfp khg khw kj kjc kjk kln kls kmr kmy kna knn "
    "kol koo kpo kqo ks ksd ksf kto kuh kvx kw kwm kxp kyx lag lcm ldb lij lir lkb lla lnu loa lrk lss ltg lto lua lus "
    "lwg mab maf mai mau max mbo mcf mcn mcx mdd mde mdf mek mer meu mfm mfn mfo mfv mgg mgi mhk mhr mig miu mkf mki "
    "mlq mne mni mqy mrj mrr mrt mse msh msw mtr mtu mtx mua mug mui mve mvy mxs mxu mxy myv mzl nal nan nap nbh ncf "
    "nco ncx ndi ng ngi nhg nhi nhn nhq nja nla nlv nmg nmz nn nnh no noe nyu odk odu ogo orc oru os pbs pbt pbu pcm "
    "pex phl phr pip piy pko plk plt pmq pms pmy pnb poc poe pow prq pst pua pwn qug qum qup qur qus quv qux quy qva "
    "qvi qvj qvl qwa qws qxa qxp qxt qxu qxw rag rm rob rof roo rth rup rw sa sah sat sau say sbn sc scl scn sei shu si "
    "sip siw sjr skg skr snc snk sol sps sq src sro ssi ste sua sva szy tan tar tay tbf tcf tcy tdn tdx tgc the thq thr "
    "thv ti tig tio tk tkg tkt tli tlp tn tok tpl tpz tqp trp trq trv trw tt ttj ttr ttu tui tul tuq tuv tuy tvo tvu tw "
    "twu txs txy udl ug uki ush uzn vai var ver vmc vmj vmm vmp vmz vot vro wbl wci weo wes wja wji wof xhe xka xmf xmv "
    "xmw xpe xti xtu yaq yav yay ydd ydg yer yes yi zga zgh zoc zoh zor zpv zpy ztg ztn ztp zts ztu zza"
)
"""The other languages it was trained on, some with minutes of speech (docs/languages.md of k2-fsa/OmniVoice)."""


def tag_of(language: str, *, unmeasured: bool) -> str:
    """Give the model's id of a language; raises `Refused` for one it has not, and one nobody measured, unless allowed."""
    code = primary(language)
    if code in MEASURED or (unmeasured and code in UNMEASURED):
        return _TAGS.get(code, code)
    if code in UNMEASURED:
        raise Refused(
            f"OmniVoice was trained on {language_name(code)} ({code}), but nobody has published how well it speaks it",
            hint="the setting unmeasured=true of this synthesizer, and to have it heard by someone who speaks it",
            code="unmeasured_language",
        )
    raise Refused(
        f"OmniVoice does not speak {language!r}; it speaks {len(MEASURED)} languages that were measured and "
        f"{len(UNMEASURED)} that were not",
        hint="synthesizer.use=models.tts.espeak:Espeak",
    )
