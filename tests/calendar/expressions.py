"""Calendar events at random, from a seed: all of the syntax of systemd.time(7), with numbers mostly in range."""
import random

DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "monday", "Tuesday", "WEDNESDAY", "thursday", "Friday", "saturday", "Sunday"]
WORDS = ["minutely", "hourly", "daily", "monthly", "weekly", "yearly", "annually", "quarterly", "semiannually", "Daily", "bi-annually"]
ZONES = ["UTC", "utc", "Europe/London", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT"]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def chance(self, share):
        return self.r.random() < share

    def number(self, low, high, width=2):
        value = self.r.randint(low, high)
        return "%0*d" % (width, value) if self.chance(0.5) else str(value)

    def term(self, low, high, width):
        if self.chance(0.55):
            return self.number(low, high, width)
        if self.chance(0.5):
            first = self.r.randint(low, high - 1)
            text = "%d..%d" % (first, self.r.randint(first, high))
            return text + ("/%d" % self.r.randint(1, 9) if self.chance(0.3) else "")
        first = self.r.randint(low, (low + high) // 2)
        return "%d/%d" % (first, self.r.randint(1, max((high - low) // 2, 1)))

    def chain(self, low, high, star=0.3, width=2):
        if self.chance(star):
            return "*"
        return ",".join(self.term(low, high, width) for _ in range(self.r.choice([1, 1, 1, 2, 3])))

    def year(self):
        kind = self.r.random()
        if kind < 0.75:
            return "*"
        if kind < 0.85:
            return self.chain(2015, 2045, 0, 4)
        return self.chain(15, 45, 0) if kind < 0.92 else self.chain(1970, 2199, 0, 4)

    def day(self):
        text = self.chain(1, 12, 0.35) + "-" + self.chain(1, 31, 0.35)
        if self.chance(0.2):
            last = self.r.randint(1, 28)
            text = self.chain(1, 12, 0.4) + "~" + (self.chain(1, 28, 0) if self.chance(0.5) else
                                                   "%d/%d" % (last, self.r.randint(1, max(last - 1, 1))))
        return text if self.chance(0.25) else self.year() + "-" + text

    def second(self):
        kind = self.r.random()
        if kind < 0.6:
            return self.chain(0, 59, 0.15)
        if kind < 0.8:
            return "%d.%s" % (self.r.randint(0, 58), self.r.choice(["5", "25", "000001", "4200004", "1700005", "9999994"]))
        if kind < 0.9:
            return "%d.5..%d.%d/%s" % (self.r.randint(0, 20), self.r.randint(22, 59), self.r.randint(0, 9),
                                       self.r.choice(["0.5", "1.25", "7", "0.333333"]))
        return "%d.25/%s" % (self.r.randint(0, 20), self.r.choice(["1.5", "7", "0.1700005"]))

    def time(self):
        text = self.chain(0, 23) + ":" + self.chain(0, 59)
        return text + ":" + self.second() if self.chance(0.3) else text

    def weekdays(self):
        parts = []
        for _ in range(self.r.choice([1, 1, 2, 3])):
            first, last = sorted(self.r.sample(range(7), 2))
            spell = [DAYS[d + self.r.choice([0, 0, 7])] for d in (first, last)]
            parts.append(spell[0] + self.r.choice(["..", "..", "-"]) + spell[1] if self.chance(0.35) else spell[0])
        return ",".join(parts) + ("," if self.chance(0.05) else "")

    def expression(self):
        if self.chance(0.03):
            return self.r.choice(WORDS)
        parts = [self.weekdays()] if self.chance(0.3) else []
        parts += [self.day()] if self.chance(0.6) else []
        parts += [self.time()] if self.chance(0.7) or not parts else []
        return (" " if self.chance(0.95) else "  ").join(parts)

    def zoned(self):
        if self.chance(0.05):
            return "@%d" % self.r.randint(0, 2500000000) + self.r.choice(["", " UTC"])
        return self.expression() + " " + self.r.choice(ZONES)

    def broken(self):
        """One with a mistake in it, most of the time."""
        text = list(self.r.choice([self.expression, self.zoned])())
        for _ in range(self.r.choice([1, 1, 2])):
            at = self.r.randrange(len(text) + 1)
            sign = self.r.choice("0123456789*/-~.,: @aMonWed")
            text[at:at + self.r.choice([0, 1])] = [sign]
        return "".join(text)
