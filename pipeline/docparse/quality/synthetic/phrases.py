"""Words to fill pages with, Russian and English."""

from __future__ import annotations

from random import Random

_NOUNS = {
    False: (
        "Order", "Payment", "Delivery", "Catalogue", "Customer", "Partner", "Invoice", "Gateway", "Queue", "Storage",
        "Data lake", "Identity", "Pricing", "Search", "Forecast", "Warehouse", "Courier", "Refund", "Event bus",
        "Audit log", "Billing", "Mobile app", "Report", "Approval", "Council", "Platform team", "Schema registry",
        "Monitoring", "Cache", "Review board", "API", "CDN", "Risk check", "Quality gate", "Contract", "Stream",
    ),
    True: (
        "Заказ", "Оплата", "Доставка", "Каталог", "Клиент", "Партнёр", "Счёт", "Шлюз", "Очередь", "Хранилище",
        "Озеро данных", "Профиль", "Цены", "Поиск", "Прогноз", "Склад", "Курьер", "Возврат", "Шина событий",
        "Журнал", "Биллинг", "Приложение", "Отчёт", "Согласование", "Совет", "Команда платформы", "Реестр схем",
        "Мониторинг", "Кэш", "Проверка риска", "Контроль качества", "Договор", "Поток", "Аудит", "Ферма", "Сеть",
    ),
}  # fmt: skip
_VERBS = {
    False: ("sends", "reads", "asks", "yes", "no", "approved", "failed", "events", "pays", "weekly", "HTTP",
            "on error"),
    True: ("шлёт", "читает", "да", "нет", "одобрено", "ошибка", "события", "платит", "раз в день", "запрос", "ответ"),
}  # fmt: skip
_RUNNING = {
    False: [
        "every",
        "platform",
        "layer",
        "offers",
        "something",
        "to",
        "the",
        "layer",
        "above",
        "it",
        "and",
        "may",
        "rely",
        "only",
        "on",
        "the",
        "layers",
        "below",
        "an",
        "owner",
        "writes",
        "the",
        "proposal",
        "on",
        "one",
        "page",
        "what",
        "moves",
        "and",
        "why",
        "which",
        "arrows",
        "break",
        "and",
        "who",
        "pays",
        "for",
        "the",
        "change",
        "teams",
        "meet",
        "on",
        "the",
        "first",
        "Tuesday",
        "of",
        "the",
        "month",
        "read",
        "it",
        "aloud",
        "and",
        "settle",
        "what",
        "two",
        "people",
        "describe",
        "in",
        "different",
        "words",
        "a",
        "forecast",
        "becomes",
        "an",
        "offer",
        "a",
        "rating",
        "corrects",
        "the",
        "model",
        "and",
        "the",
        "report",
        "goes",
        "to",
        "the",
        "council",
        "before",
        "the",
        "next",
        "quarter",
        "begins",
        "with",
        "a",
        "budget",
        "of",
        "its",
        "own",
    ],
    True: [
        "каждый",
        "слой",
        "платформы",
        "предлагает",
        "что-то",
        "слою",
        "выше",
        "и",
        "опирается",
        "только",
        "на",
        "слои",
        "ниже",
        "владелец",
        "слоя",
        "пишет",
        "предложение",
        "на",
        "одной",
        "странице",
        "что",
        "меняется",
        "и",
        "почему",
        "кто",
        "платит",
        "и",
        "какие",
        "связи",
        "рвутся",
        "команды",
        "встречаются",
        "в",
        "первый",
        "вторник",
        "месяца",
        "читают",
        "вслух",
        "и",
        "договариваются",
        "о",
        "словах",
        "прогноз",
        "становится",
        "предложением",
        "оценка",
        "исправляет",
        "модель",
        "а",
        "отчёт",
        "уходит",
        "в",
        "совет",
        "до",
        "начала",
        "квартала",
        "вместе",
        "с",
        "бюджетом",
    ],
}


class Phrases:
    """Names, notes and running text of one language."""

    def __init__(self, random: Random, russian: bool) -> None:
        self._random = random
        self._russian = russian

    def name(self) -> str:
        """The name of a thing: a node, a column, an entry."""
        return self._random.choice(_NOUNS[self._russian])

    def verb(self) -> str:
        """What an arrow says."""
        return self._random.choice(_VERBS[self._russian])

    def words(self, least: int, most: int) -> str:
        """Some running words without an end."""
        source = _RUNNING[self._russian]
        count, start = self._random.randint(least, most), self._random.randrange(len(source))
        return " ".join(source[(start + index) % len(source)] for index in range(count))

    def sentence(self, least: int, most: int) -> str:
        """A sentence."""
        text = self.words(least, most)
        return text[0].upper() + text[1:] + "."

    def title(self) -> str:
        """A heading."""
        text = self.words(2, 5)
        return text[0].upper() + text[1:]

    def figure(self) -> str:
        """A number as tables hold them."""
        return self._random.choice(
            (
                str(self._random.randint(1, 999)), f"{self._random.randint(1, 99)} %",
                f"{self._random.uniform(0, 20):.1f}",
                f"{self._random.randint(1, 28):02d}.{self._random.randint(1, 12):02d}.2026",
                f"{self._random.randint(1, 9)},{self._random.randint(100, 999)}",
            )
        )  # fmt: skip
