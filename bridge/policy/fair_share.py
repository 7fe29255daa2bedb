"""Something bounded that many want, and none may have all of (pure)."""

__all__ = ("FairShare",)


class FairShare:
    """
    Slots, or bytes, shared by a dynamic threshold (Choudhury and Hahne, 1998): who has some may have more as long as all
    he has is within *alpha* times what is free.

    One who comes alone gets alpha / (1 + alpha) of it, each of n as much as the other, and something is always free for
    the next; nothing is kept apart for anybody.

    Args:
        amount_max: that there is.
        alpha: 1 leaves a half to others, 3 a quarter.
        least: that anybody may have while it is free.

    Attributes:
        taken: of it, by all.
    """

    __slots__ = ("_alpha", "_by_holder", "_least", "amount_max", "taken")

    def __init__(self, amount_max: int, *, alpha: float, least: int = 1) -> None:
        self.amount_max = amount_max
        self._alpha = alpha
        self._least = least
        self._by_holder: dict[str, int] = {}
        self.taken = 0

    def take(self, holder: str, amount: int = 1) -> bool:
        """Whether *holder* may have so much more, and has it now."""
        free = self.amount_max - self.taken
        held = self._by_holder.get(holder, 0)
        if amount > free or held + amount > max(self._least, self._alpha * free):
            return False
        self.add(holder, amount)
        return True

    def add(self, holder: str, amount: int) -> None:
        """*holder* has so much more, whether he may or not."""
        self.taken += amount
        self._by_holder[holder] = self._by_holder.get(holder, 0) + amount

    def give_back(self, holder: str, amount: int = 1) -> None:
        """*holder* has so much less."""
        self.taken -= amount
        left = self._by_holder[holder] - amount
        if left:
            self._by_holder[holder] = left
        else:
            del self._by_holder[holder]
