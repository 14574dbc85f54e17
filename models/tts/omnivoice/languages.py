"""Languages of OmniVoice: those that its authors evaluated, and the rest of those it was trained on."""

from __future__ import annotations

from pipeline.errors import Refused
from pipeline.languages import language_name, primary

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
            hint="synthesizer.unmeasured=true, and to have it heard by someone who speaks it",
            code="unmeasured_language",
        )
    raise Refused(
        f"OmniVoice does not speak {language!r}; it speaks {len(MEASURED)} languages that were measured and "
        f"{len(UNMEASURED)} that were not",
        hint="synthesizer.use=models.tts.espeak:Espeak",
    )
