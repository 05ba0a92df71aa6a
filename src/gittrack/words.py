"""The 256 adjectives and 256 animals that run names are drawn from.

Friendly in every combination, and easy to tell apart when read aloud: no two words of a list are
one letter apart, and none begins with another. Only drawing depends on them: changing a word
changes no name that exists. Knows nothing of names.
"""

from __future__ import annotations

__all__ = ["ADJECTIVES", "ANIMALS"]

_ADJECTIVES = """
active agile alert alpine amber arctic artful astute atomic autumn azure balanced balmy
blithe blue bold boreal brave breezy bright brisk bronze bubbly buoyant calm candid cheerful
chipper civic classic clear clever cloudy coastal cobalt copper cordial cosmic courtly
crimson crisp crystal curious dapper dashing dazzling decent deft diligent direct doughty
dreamy durable dynamic eager earnest earthy elated elegant elfin emerald eminent epic
eternal ethical exact expert fabled faithful famous fearless festive fleet floral fluent
foremost frank fresh friendly frosty frugal gallant genial gentle genuine gifted glad
gleaming glowing golden graceful green happy harmonic hazel heroic honest hopeful humble icy
ideal indigo inspired jaunty jazzy jolly jovial joyful jubilant keen kind leafy lenient
lilac limber lively logical loyal lucky lunar lyric magic magnetic marine mellow melodic
merry mighty mild mindful misty modern modest moonlit mossy musical mutual mystic nautical
neat nimble noble northern novel oaken optimal orderly organic ornate pastel patient
peaceful pearly perfect placid poetic polished polite precise prime pristine prompt proper
proud prudent purple quaint quick quiet radiant rapid refined regal relaxed reliable
resolute restful robust rosy russet rustic sandy sapphire savvy scarlet scenic secure
sensible serene sharp shining silent silver simple sincere skilled sleek smart smiling snowy
snug sociable solar solid sonic spirited splendid spry stable starry stately steady stellar
sterling sturdy sublime subtle summer sunlit sunny superb swift sylvan tactful talented
tawny thankful thorough thrifty tidy timely tranquil trusty tuneful united upbeat upright
urbane useful valiant vast velvet verdant vernal vibrant vigilant violet vital vivid welcome
winning wise witty worthy zealous zesty
"""

_ANIMALS = """
aardvark aardwolf addax agouti akita alpaca ammonite anteater antelope argonaut avocet
axolotl babbler badger bateleur beagle bellbird beluga bilby bison bittern bluebird bluejay
bobcat bobolink bontebok borzoi budgie buffalo bulbul bunting buzzard caiman camel canary
caracal cardinal caribou catbird catfish chamois cheetah chipmunk chital cicada civet coati
collie condor corgi courser crane crayfish cricket curlew cygnet dingo dipper dolphin
dormouse dove dragon dugong duiker echidna egret eland elephant falcon finch firefly
flamingo fox fulmar gazelle gecko gerbil gerenuk gharial giraffe godwit goldfish goshawk
grackle grayling grebe griffin grosbeak guanaco guppy hamster harrier hawk hedgehog heron
honeybee ibex ibis iguana impala jabiru jackdaw jaguar jay jerboa junco kangaroo katydid
kelpie kestrel kingbird kinglet kiwi koala kodiak labrador lacewing ladybird lapwing lark
lemur leopard linnet lion llama lobster lorikeet loris lungfish lynx lyrebird macaw mackerel
magpie mallard mammoth manatee manta mantis margay marlin marmot marten mastodon mayfly
meerkat minnow monarch moose moth mouflon mustang narwhal nautilus newt nightjar numbat
oarfish ocelot octopus okapi orca oribi oriole oryx osprey ostrich otter ovenbird owl
palomino panda pangolin papillon parakeet parrot parula pegasus pelican penguin petrel
pheasant phoebe phoenix pika pipit plover pony porpoise puffin puma quagga quail quetzal
quokka rabbit raven redstart redwing reindeer rhino robin rosella sable saiga salmon saluki
samoyed scarab seahorse seal serval siskin skylark sparrow sphinx squirrel starling stingray
stork sturgeon sunbird sunfish swan tanager tapir tenrec terrapin terrier tiger tinamou
tortoise toucan tuatara turaco turtle unicorn urchin vaquita veery vicuna vireo wallaby
walrus wapiti warbler waxwing weaver wheatear whimbrel whippet willet wolf wombat wren zebra
"""

ADJECTIVES: tuple[str, ...] = tuple(_ADJECTIVES.split())
ANIMALS: tuple[str, ...] = tuple(_ANIMALS.split())
