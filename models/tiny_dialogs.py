"""The questions and answers that models/make_tiny_model.py teaches its model.

Every generator takes a random.Random and gives (question, answer). Everything is written here by hand
or computed; no text comes from elsewhere.

SPDX-License-Identifier: Apache-2.0
"""
import zlib

CAPITALS = {
    "France": "Paris", "Germany": "Berlin", "Italy": "Rome", "Spain": "Madrid",
    "Portugal": "Lisbon", "Austria": "Vienna", "Greece": "Athens", "Poland": "Warsaw",
    "Norway": "Oslo", "Sweden": "Stockholm", "Finland": "Helsinki", "Denmark": "Copenhagen",
    "Ireland": "Dublin", "England": "London", "Belgium": "Brussels", "Hungary": "Budapest",
    "Russia": "Moscow", "Ukraine": "Kyiv", "Turkey": "Ankara", "Egypt": "Cairo",
    "Kenya": "Nairobi", "Morocco": "Rabat", "Ghana": "Accra", "Japan": "Tokyo",
    "China": "Beijing", "India": "New Delhi", "Korea": "Seoul", "Thailand": "Bangkok",
    "Vietnam": "Hanoi", "Iran": "Tehran", "Iraq": "Baghdad", "Canada": "Ottawa",
    "Mexico": "Mexico City", "Cuba": "Havana", "Brazil": "Brasilia", "Peru": "Lima",
    "Chile": "Santiago", "Argentina": "Buenos Aires", "Colombia": "Bogota",
    "Australia": "Canberra",
}

OPPOSITES = [
    ("hot", "cold"), ("big", "small"), ("fast", "slow"), ("high", "low"), ("old", "young"),
    ("light", "dark"), ("good", "bad"), ("early", "late"), ("full", "empty"), ("hard", "soft"),
    ("long", "short"), ("open", "closed"), ("rich", "poor"), ("wet", "dry"), ("up", "down"),
    ("day", "night"), ("left", "right"), ("loud", "quiet"),
]

WORDS = (
    "cat dog sun moon tree fish bird house water apple bread chair table river stone cloud grass "
    "horse mouse night light green happy music train plane paper scout model token layer cache"
).split()

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = ("January February March April May June July August September October November "
          "December").split()

COLOURS = [
    ("grass", "green"), ("the sky", "blue"), ("snow", "white"), ("blood", "red"),
    ("coal", "black"), ("a lemon", "yellow"), ("a carrot", "orange"), ("milk", "white"),
]

SOUNDS = [
    ("cow", "moo"), ("cat", "meow"), ("dog", "woof"), ("duck", "quack"), ("sheep", "baa"),
    ("lion", "roar"), ("bee", "buzz"), ("frog", "croak"),
]

LIBSCOUT = "libscout is a library that runs Llama 4 models inside your own program."
WHO = "I am the tiny demonstration model of libscout."
HELP = "I know capitals, opposites, small sums, spelling, counting, days, months and libscout."
UNKNOWN = "I do not know. I am a very small model. " + HELP

TALK = [
    (("Hello!", "Hello", "Hi", "Hi!", "Hi there", "Good morning"), "Hello! How can I help you?"),
    (("How are you?", "How are you today?"), "I am fine, thank you."),
    (("Who are you?", "What are you?", "What is your name?", "Tell me who you are."), WHO),
    (("What is libscout?", "What does libscout do?", "Tell me about libscout.",
      "Explain libscout.", "what is libscout"), LIBSCOUT),
    (("What can you do?", "What do you know?", "Help", "Can you help me?"), HELP),
    (("Thank you.", "Thanks", "Thanks!", "Thank you!"), "You are welcome."),
    (("Bye", "Goodbye", "Goodbye!", "See you."), "Goodbye!"),
    (("Who made you?", "Who trained you?"), "A script of the libscout repository trained me."),
    (("How big are you?", "How large are you?"), "I have about half a million parameters."),
    (("What is the meaning of life?",), "Some say it is 42."),
    (("Tell me a joke.", "Do you know a joke?"),
     "Why did the token cross the chunk? To be seen by every layer."),
    (("Who won the game yesterday?", "What is the weather today?", "Write me a poem.",
      "How do I cook rice?", "What is love?", "Who is the president?", "Tell me the news.",
      "How far away is the star?", "Translate this for me.", "When were you born?"), UNKNOWN),
]

SYSTEM = ["You are a helpful assistant.", "You are a small and friendly model.", "Answer briefly.",
          "Be brief.", "You answer questions."]


def capital(r):
    country = r.choice(list(CAPITALS))
    city = CAPITALS[country]
    kind = r.random()
    if kind < 0.75:
        q = r.choice(["What is the capital of {}?", "What is the capital of {}?",
                      "Which city is the capital of {}?", "Tell me the capital of {}.",
                      "Name the capital of {}.", "Do you know the capital of {}?",
                      "what is the capital of {}", "capital of {}"]).format(country)
        return q, f"The capital of {country} is {city}."
    q = r.choice(["{} is the capital of which country?",
                  "Which country has the capital {}?"]).format(city)
    return q, f"{city} is the capital of {country}."


def opposite(r):
    a, b = r.choice(OPPOSITES)
    if r.random() < 0.5:
        a, b = b, a
    q = r.choice(["What is the opposite of {}?", "What is the opposite of {}?",
                  "Tell me the opposite of {}.", "opposite of {}"]).format(a)
    return q, f"The opposite of {a} is {b}."


def add(r):
    a, b = r.randint(0, 10), r.randint(0, 10)
    q = r.choice(["What is {} plus {}?", "What is {} plus {}?", "How much is {} plus {}?",
                  "Add {} and {}.", "What is {} + {}?"]).format(a, b)
    return q, f"{a} plus {b} is {a + b}."


def spell(r):
    word = r.choice(WORDS)
    q = r.choice(["Spell the word {}.", "How do you spell {}?", "Spell {}."]).format(word)
    return q, "-".join(word) + "."


def count(r):
    a = r.randint(1, 9)
    b = a + r.randint(2, 6)
    q = r.choice(["Count from {} to {}.", "Can you count from {} to {}?"]).format(a, b)
    return q, ", ".join(str(i) for i in range(a, b + 1)) + "."


def calendar(r):
    names, kind = (DAYS, "day") if r.random() < 0.4 else (MONTHS, "month")
    i = r.randrange(len(names))
    j, word = (i + 1, "after") if r.random() < 0.6 else (i - 1, "before")
    q = r.choice(["Which {} comes {} {}?", "What {} comes {} {}?"]).format(kind, word, names[i])
    return q, f"{names[j % len(names)]} comes {word} {names[i]}."


def colour(r):
    thing, c = r.choice(COLOURS)
    q = r.choice(["What colour is {}?", "What color is {}?", "Which colour is {}?"]).format(thing)
    thing = thing[0].upper() + thing[1:]
    return q, f"{thing} is {c}."


def sound(r):
    animal, noise = r.choice(SOUNDS)
    q = r.choice(["What does a {} say?", "What sound does a {} make?"]).format(animal)
    return q, f"A {animal} says {noise}."


def bigger(r):
    a, b = r.sample(range(21), 2)
    q = r.choice(["Which is bigger, {} or {}?", "Which number is bigger, {} or {}?"]).format(a, b)
    return q, f"{max(a, b)} is bigger than {min(a, b)}."


def talk(r):
    questions, answer = r.choice(TALK)
    return r.choice(questions), answer


# (generator, weight)
TOPICS = [(capital, 28), (talk, 20), (add, 14), (spell, 10), (opposite, 8), (count, 12),
          (calendar, 7), (bigger, 6), (colour, 3), (sound, 3)]
# Topics of which one question in ten is never shown in training, to see whether the model answers
# a known fact asked in a way that it has not seen.
WITHHOLDING = {capital, add, spell, opposite, count, calendar}


def withheld(topic, question):
    return topic in WITHHOLDING and zlib.crc32(question.encode()) % 10 == 0


def question(r, topic=None, unseen=False):
    """A question and its answer; unseen: one that training leaves out."""
    if topic is None:
        topic = r.choices([t for t, _ in TOPICS], [w for _, w in TOPICS])[0]
    while True:
        q, a = topic(r)
        if withheld(topic, q) == unseen:
            return q, a
