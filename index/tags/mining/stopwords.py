"""Words that begin and end no term, Russian and English, as they stand after folding."""

from __future__ import annotations

_ENGLISH = """
a about above across after again against all almost also although always am among an and another any anyone anything
are around as at away back be became because become been before began being below between both but by came can cannot
could day days did do does doing done down during each either else enough even ever every few first five for former
four found from further gave get gives given go goes going got had has have having he her here hers herself him
himself his how however i if in including instead into is it its itself just kept known last late later least less let
like made main mainly major make makes making many may me might more most mostly much must my near nearly need needs
neither never new next no non none nor not now of off often on once one only onto or other others our out over own
part per perhaps put quite rather said same saw say says second see seen several shall she should since six so some
something soon still such take taken ten than that the their them themselves then there therefore these they this
those though three through throughout thus to together too took toward towards two under until up upon us use used
uses using usually various very via was way we well went were what when where whether which while who whom whose why
will with within without would year years yet you your
"""
_RUSSIAN = """
а без более больше будет будто будут бы был была были было быть в вам вас ваш ведь весь во вместе вместо вне во вообще
вот впрочем все всегда всего всей всем всеми всему всех всю всякий вся вы где год года году годы да даже два две дел
для до довольно должен должна должно другая другие других другое другой его ее ей ему если есть еще же за затем здесь
и из или им именно иметь имеет имела имели ими иногда их к каждая каждое каждый как какая какие какое какой когда
которая которого которое которой котором которому которую которые который которым которыми которых кроме кто куда лет
ли либо лишь между меня мне много многие многих могла могли могло может можно могут мой мы на над надо наиболее нам
нами нас наш не него нее ней некоторые некоторых нельзя нем нему несколько нет неё ни них ничего но ну нужно о об оба
обе один одна однако одни одним одних одно одной одном около он она они оно от очень перед по под позже поскольку
после потом потому почти поэтому при про просто против пять раз разве с сам сама сами само самый самая самые самых
свое своего своей своем своему свои своим своими своих свой свою своя себе себя сегодня сейчас со среди стал стала
стали стало так такая также такие таких такого такое такой таком такую там тем теперь тех то тобой тогда того тоже той
только том тому тот точно три ту ты тысяч у уже хотя хорошо чаще часть часто чего чей чем через четыре что чтобы чуть
эта эти этим этими этих это этого этой этом этому этот эту я является являются являлся являлась
"""
STOPWORDS = frozenset(_ENGLISH.split()) | frozenset(word.replace("ё", "е") for word in _RUSSIAN.split())
