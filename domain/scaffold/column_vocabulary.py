"""Column vocabulary: what the name of a column suggests about its use, in a few common languages."""

import re
from typing import Literal

__all__ = [
    "Meaning",
    "column_meaning",
    "is_additive",
    "is_main_target",
    "is_outcome_name",
    "is_time_name",
    "split_name",
]

Meaning = Literal["id", "flag", "target", "date_part", "driver", "group", ""]
"""id : identifies a thing. flag : yes or no, known in advance. target : a quantity worth predicting. date_part : month,
weekday. driver : price, weather, size. group : a thing that may have a model of its own. Empty: no known word."""

# In order of precedence, where a name has words of several meanings.
_WORDS: dict[Meaning, str] = {
    "id": "id ids key code sku ean gtin upc uuid guid zip postcode plz phone idx row rownum",
    "flag": "promo promotion promoted holiday holidays event onpromotion feat feature deal display open closed weekend "
    "is has flag campaign aktion feiertag rabatt schoolholiday stateholiday",
    "target": "revenues umsätze umsaetze erlös erloes erlöse verkäufe verkaeufe betrag ingresos facturación "
    "facturacion vendite vendita fatturato omzet verkoop verkopen aantal hoeveelheid sprzedaż sprzedaz ilość "
    "vendas faturamento omsætning omsättning försäljning myynti tržby prodej quantità sales sale units unit "
    "sold qty quantity quantities demand value y target load consumption usage volume count revenue amount "
    "orders turnover kwh mwh kw mw energy power charges charge claims claim delay close traffic passengers "
    "visits visitors riders rides trips calls output production yield umsatz absatz menge wert verbrauch "
    "stueck stück anzahl bedarf last ventes vente quantité quantite demande valeur ventas venta cantidad "
    "demanda valor consumo",
    "date_part": "year month day hour minute weekday dayofweek dow quarter week weekofyear season jahr monat tag "
    "stunde wochentag quartal woche annee année mois jour heure ano año mes dia día hora",
    "driver": "price prices preis preise prix precio precios prezzo prijs cena preço pris stückpreis einzelpreis "
    "kosten coût costo discount temperature temp weather rain humidity wind cost income size area age lat lon "
    "latitude longitude capacity distance weight stock inventory population rate bmi budget spend",
    "group": "store shop item product brand region country state city customer client meter sensor station site "
    "location branch department dept category segment group series route line channel market carrier airline "
    "origin warehouse plant machine device asset account symbol ticker flight vendor supplier sector depot zone "
    "filiale markt artikel produkt kunde standort zähler zaehler marke kategorie land stadt lager warengruppe "
    "magasin produit marque pays ville tienda producto marca ciudad",
}
_SALES = frozenset(
    "sales sale sold revenue revenues turnover umsatz umsätze umsaetze absatz erlös erloes erlöse verkäufe verkaeufe "  # noqa: SIM905
    "ventes vente ventas venta ingresos facturación facturacion vendite vendita fatturato omzet verkoop "
    "verkopen sprzedaż sprzedaz vendas faturamento omsætning omsättning försäljning myynti tržby prodej".split()
)
"""What is sold: the target more often than anything else that can be counted."""
_OUTCOMES = frozenset(
    "churn churned default defaulted fraud fraudulent converted conversion bought purchased cancelled canceled "  # noqa: SIM905
    "returned clicked click response responded survived outcome label target result won lost accepted approved "
    "attrition failure failed defect readmitted diabetes disease subscribed kündigung kuendigung gekündigt "
    "gekuendigt betrug gekauft storniert ausfall zielvariable reklamation résiliation fraude "
    "acheté baja cancelado comprado".split()
)
"""What may happen to a case, yes or no."""
_ADDITIVE = _SALES | frozenset(
    "units unit qty quantity quantities demand orders count calls visits visitors passengers kwh mwh menge stück "  # noqa: SIM905
    "stueck anzahl bedarf verbrauch quantité quantite cantidad quantità ilość aantal hoeveelheid consumption".split()
)
"""Quantities of which the sum over a longer time is one too."""
_SETS: dict[Meaning, frozenset[str]] = {kind: frozenset(text.split()) for kind, text in _WORDS.items()}
_LAST_WORD_ID = frozenset(["number", "no", "nr", "num", "nummer", "numero"])
_TIME = frozenset(
    "date datetime time timestamp ts ds period datum zeit zeitpunkt zeitstempel fecha jour periode monat woche "  # noqa: SIM905
    "week month day year quarter jahr quartal tag mois annee année mes ano año semaine semana".split()
)
_BOUNDARY = re.compile(r"(?<=[a-zà-ÿ0-9])(?=[A-ZÀ-Þ])|[\W_]+")


def split_name(name: str) -> list[str]:
    """Split a name into lower-case words: `StoreID` and `store_id` both give store, id."""
    return [part.lower() for part in _BOUNDARY.split(name) if part]


def column_meaning(name: str) -> Meaning:
    """Infer the meaning of a name. The last word decides, so `price_group` is a group; the word id decides anywhere."""
    parts = split_name(name)
    if not parts:
        return ""
    if _SETS["id"].intersection(parts) or parts[-1] in _LAST_WORD_ID:
        return "id"
    for candidates in (parts[-1:], parts):
        for kind, vocabulary in _SETS.items():
            if vocabulary.intersection(candidates):
                return kind
    return ""


def is_main_target(name: str) -> bool:
    """Return True if a name contains a word for what is sold, such as revenue or Umsatz."""
    return bool(_SALES.intersection(split_name(name)))


def is_outcome_name(name: str) -> bool:
    """Return True if a name contains a word for what may happen to a case, such as churn or Kündigung."""
    return bool(_OUTCOMES.intersection(split_name(name)))


def is_additive(name: str) -> bool:
    """Return True if a name contains a word for a quantity that adds up over time."""
    return bool(_ADDITIVE.intersection(split_name(name)))


def is_time_name(name: str) -> bool:
    """Return True if a name contains a word for a time or a date."""
    return bool(_TIME.intersection(split_name(name)))
