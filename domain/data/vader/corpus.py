#!/usr/bin/env python3
"""Writes corpus.json: our own sentences, each with the compound score that the
reference implementation of VADER gives it.

    pip install vaderSentiment==3.3.2
    python3 corpus.py            # rewrites corpus.json next to this file
    python3 corpus.py --check    # fails if corpus.json is not what it would write
"""

import json
import pathlib
import sys

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

TARGET = pathlib.Path(__file__).with_name("corpus.json")

PLAIN = """
Today was a good day.
I had a terrible night and woke up tired.
We walked along the river and talked about nothing in particular.
The meeting was at ten and it finished at eleven.
I feel calm and grateful this morning.
My head hurts and I am worried about tomorrow.
Dinner with my sister was lovely.
I cried on the way home.
Work was stressful, the train was late, and I lost my keys.
The garden is beautiful after the rain.
I am proud of what I finished today.
I felt lonely at the party.
Nothing happened.
I bought bread, milk and two apples.
My therapist listened and I felt understood.
I am scared of losing him.
The panic came back in the supermarket.
A quiet, happy, peaceful Sunday.
I love my friends and I hate my job.
Finally slept eight hours.
I miss my grandmother.
He apologised and I forgave him.
The exam went well and I passed with honours.
I failed the exam and feel like a loser.
She hugged me and the sadness went away for a while.
"""

NEGATION = """
I am not happy.
I am not sad any more.
It was not a bad day at all.
I don't feel good.
I don't feel bad about it.
I didn't enjoy the concert.
I can't complain, life is good.
I cannot stand this awful noise.
I never felt so alone.
I never felt so loved.
I have never felt this good in my life.
I have never been this angry.
Without doubt a great evening.
Without a doubt the best coffee in town.
Without hope there is little joy.
I rarely laugh these days.
I seldom feel safe here.
Despite the pain I smiled.
Nothing good came out of it.
Nobody was nice to me and none of it was fun.
It isn't horrible, it isn't great.
That wasn't funny and it wasn't kind.
I wont be sad, I dont want to be sad.
I couldnt care less about his nice words.
Nope, not great.
Neither happy nor sad.
It was not smart, pretty, nor funny.
I am not very happy today.
I am not really that angry with her.
We ain't happy, we ain't sad.
uh-uh, good times are over
I shouldn't be so afraid.
He hasn't been honest with me.
"""

NO_AND_NOR = """
No.
no
No problem at all.
No good deed goes unpunished.
No, I am happy.
There is no joy in this house.
There is no hope or joy left.
There is no hope nor joy left.
No pain, no gain.
I have no friends and no energy.
Yes and no.
I said no to the bad idea and felt great.
no worries, no stress, no fear
Is there no love here
NO FUN today at all
oh no no no bad
"""

DEGREE = """
I am very happy.
I am really, really tired of being sad.
I am extremely anxious.
I was absolutely thrilled with the present.
It was incredibly boring.
It was so good.
It was so, so bad.
I am so very glad you called.
I am somewhat hopeful.
I am slightly annoyed.
I barely enjoyed the film.
I hardly trust anyone.
It was almost perfect.
I am a little sad.
I am kinda happy.
I am kind of happy.
The film was kind of boring.
My neighbour is a kind person.
She is kind of a friend and kind of a rival.
It was kind-of awful.
It was sort of nice.
I sorta like him.
There was just enough hope to go on.
It was just enough good news for one day.
Less stress, more joy.
I feel more relaxed and less angry.
The most wonderful week of the year.
Utterly, completely and totally exhausted but happy.
An exceptional failure.
What a tremendous success!
Quite good, quite nice, quite fine.
I am friggin happy and fucking tired.
It was uber cool.
Partly sunny, partly miserable.
The especially cruel part was the silence.
I occasionally feel hopeful about love.
"""

LEAST = """
At least it was not a terrible day.
At least I am safe.
The least interesting lecture of the year.
It was the very least helpful advice.
Least happy I have been in years.
He is the least honest man I know.
I am at least trying to be kind.
Last but not least, I love my cat.
"""

CAPITALS = """
I am SO happy today.
I am so HAPPY today.
I AM SO HAPPY TODAY.
I HATE this weather.
this is GREAT and that is AWFUL
VERY good news from the doctor.
That was NOT good.
I feel KIND OF good.
I NEVER felt so GOOD.
BARELY alive and KINDA sad.
GREAT
The USA trip was nice.
Today I was SLIGHTLY disappointed.
EXTREMELY bad, Extremely good.
NO joy, NO LOVE
"""

PUNCTUATION = """
I did it!
I did it, so happy!
So happy!!
So happy!!!
So happy!!!!
So happy!!!!!!!!!!
So sad!!!
Are you happy?
Are you happy??
Are you happy???
Are you happy????
Why is everything so awful?????
What a great day?! Really?!
...happy...
"happy"
(sad) [sad] {sad}
good,bad
good-bad
happy/sad
good.bad.ugly
Great... just great.
!!!
???
!?
--- *** ---
It's OK.
ok!
meh.
I'm fine; she's angry: we'll cope.
***love***
_hate_
#happy #blessed
@friend thanks for the kind words
50% good, 50% bad
$$$ stolen $$$
"""

BUT = """
The food was good, but the service was terrible.
The service was terrible, but the food was good.
I was sad but then you came.
I love him but I hate him but I love him.
But I am happy.
I am happy but
BUT it was bad, good, bad and good.
good good bad but good good bad
I laughed, I cried, but I am grateful, grateful and hopeful.
Hard day, hard week, hard month, but a wonderful family and a wonderful home.
It was fine, but, well, fine.
Tired but proud.
but but but good
bad but not bad but nice but not nice
The plot was good, but the people are dull and the talk is not great.
Nice walk. But then rain. But then sun. Nice evening.
fun but fun but fun but fun
"""

IDIOMS = """
The cake was the bomb.
This party is the shit.
The new coat looks bad ass on you.
My aunt is a badass.
I waited at the bus stop for an hour.
Waiting at the lonely bus stop made me sad.
Oh yeah right, great idea.
He said yeah right and laughed.
That email was the kiss of death for the project.
The pie was to die for.
Her coffee is really to die for.
I could hear my own beating heart.
With a beating heart I opened the letter.
I was under the weather all week.
Break a leg tonight, dear friend!
We live hand to mouth.
It costs an arm and a leg.
He has the upper hand in every fight.
I really think that was sort of nice.
Honestly it was just enough love for me.
we all said the kind of good things
"""

EMOJI = """
I passed! 🎉
😀
😀😀😀
😭
I miss you 😢💔
love you ❤️
love you❤
🙂🙃
Great job👍well done
👍🏽 good
Woman with a laptop 👩‍💻 working late
💘 and 💋 and 😁
☹️ bad day
🔥🔥🔥 best gig ever 🔥🔥🔥
😡 so angry!!!
family 👨‍👩‍👧 time
🇵🇱 trip was nice
☀️ morning, 🌧️ evening
I'm 😊 but 😴
🤷
"""

EMOTICONS = """
See you soon :)
See you soon :-)
Missed the bus :(
Missed the bus :-( again :(
:D
XD that was funny
So tired :/
:'( I lost my ring
<3 my dog
</3
;) wink
8-)
:P :p :-P
^_^ what a day
>:( leave me alone
o_O strange
=) and =(
:) :( :)
I smiled:)
(: hello
"""

SLANG = """
lol that was great
Today only kinda sux! But I'll get by, lol
omg wtf just happened
lmao rofl
brb, gtg, ttyl
ily so much
smh this is lame
meh
w00t! best day
thx u r gr8
"""

CONTRACTIONS = """
It's good, isn't it?
I'd love to, I can't wait!
They're mean and we're hurt.
I won't forgive, I won't forget.
She wouldn't hurt a fly.
You shouldn't've been so cruel.
It ain't bad.
I don’t feel good.
I’m happy, it’s lovely.
It wasn’t great, but I didn’t hate it.
y'all are awesome
"""

PARAGRAPHS = """
Woke up late. Missed breakfast. Then a friend called and we laughed for an hour. Not a bad morning after all!
I keep telling myself it will get better. Some days I believe it. Today I didn't. I felt empty, useless and very, very tired.
Good things today: coffee, sun, a kind word from a stranger. Bad things: the news, my back, the argument with Anna. All in all, fine.
Dear diary, I was afraid to speak, but I did, and nobody laughed. I am proud. I am SO proud!!! 🎉
The doctor said there is no sign of the disease. No cancer. I cried with relief, called my mother, and slept like a baby.
I don't know what I feel. Not sad, not happy. Kind of numb. At least the house is quiet and the cat is warm.
Angry at him, angry at myself. Why do I always say yes?? I never win these fights. Still, I walked away without shouting, and that is a small victory.
Three things I am grateful for: my health, my sister's jokes, and the smell of rain. One thing that hurt: being ignored at lunch.
"""

UNICODE = """
Café visit was lovely, naïve and sweet.
Dzień dobry, to był dobry dzień.
Сегодня был хороший день
今日はとても楽しかった
اليوم كان جيدا
ΓΕΙΑ ΣΟΥ great day
ÉNORME joy today
STRASSE and straße, both nice
İstanbul was great
ﬁne weather
good\u00a0bad
good\u2003happy
good\u200bhappy
e\u0301toile love
“happy”
«sad»
happy…
happy—sad
happy – sad
\u0000good\u0000
good\u001cbad
good\u0085bad
\ufeffgood
ＧＯＯＤ good
𝓰𝓸𝓸𝓭 good
ǅ GOOD bad
"""

# Kept apart from the blocks above, whose lines are stripped.
SHAPES = [
    "",
    " ",
    "\n\t \r\n",
    "a",
    ".",
    "0",
    "1 2 3 4 5",
    "good",
    "bad",
    "  good  ",
    "good\nbad\r\nhappy\tsad",
    "happy\n\n\n!!!",
    "very",
    "not",
    "kind",
    "kind of",
    "least good",
    "the least good",
    "goodgoodgood",
    "supercalifragilisticexpialidocious",
    "x" * 3000,
    "!" * 1000 + " good",
    "? " * 300 + "bad",
    "I am happy. " * 400,
    "I am sad and tired, but I love you! " * 250,
    "not good " * 500,
    "Nothing to report from the office. " * 300,
    "😀 " * 300,
    "good bad but " * 200,
]


def sentences():
    blocks = [
        PLAIN, NEGATION, NO_AND_NOR, DEGREE, LEAST, CAPITALS, PUNCTUATION, BUT, IDIOMS,
        EMOJI, EMOTICONS, SLANG, CONTRACTIONS, PARAGRAPHS,
    ]
    for block in blocks:
        yield from block.strip("\n").split("\n")
    # Not str.splitlines(), which would also split on the separators under test.
    yield from UNICODE.strip("\n").split("\n")
    yield from SHAPES


def corpus():
    analyser = SentimentIntensityAnalyzer()
    rows = []
    for text in dict.fromkeys(sentences()):
        row = {"text": text, "compound": analyser.polarity_scores(text)["compound"]}
        rows.append(json.dumps(row, ensure_ascii=False))
    return "[\n" + ",\n".join(rows) + "\n]\n"


def main():
    written = corpus()
    if "--check" in sys.argv[1:]:
        if TARGET.read_text(encoding="utf-8") != written:
            sys.exit(f"{TARGET.name} differs from the reference; run this script without --check")
        return
    TARGET.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
