"""The words that captions of everyday photos are made of, as far as questions are asked about them.

In: a word as it stands in a caption. Out: what it is: the singular of a noun and its kind, a colour, a number, a form
of a verb. All lists are made by hand; a word that is in none of them is never asked about.

The surprising thing: what matters most is which words *exclude* a question. A picture whose captions speak of a wave
has water in it though nobody says so, and a skier is a person: of such pictures "is there water?" and "is there a
person?" have no answer "no".
"""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text, as lists of them are written here."""
    return frozenset(text.split())


COLORS = {
    **{name: name for name in words("black white brown red blue green yellow orange pink purple tan silver beige")},
    **{"gray": "gray", "grey": "gray", "maroon": "red", "navy": "blue", "turquoise": "blue", "violet": "purple"},
}
NUMBERS = {
    **{"a": 1, "an": 1, "one": 1, "single": 1, "lone": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6},
    **{"2": 2, "3": 3, "4": 4, "5": 5, "6": 6},
}
COUNTABLE = 6  # nobody counts more at a glance

# Words between an article and its noun that change neither its number nor its colour.
ADJECTIVES = words("""
    small large big little tiny huge long short tall young old older elderly elder younger teenage wet dry muddy
    dirty fluffy furry hairy shaggy happy smiling shirtless bald blond blonde asian african american indian dark
    light bright pale striped plaid checkered spotted heavy thin fat muscular open empty grassy snowy rocky
    sandy wooden metal plastic rubber stone brick concrete cement leather stuffed inflatable colorful
    multicolored male female lone single own matching torn worn hot new deep shallow clear calm cute pretty
    beautiful skinny medium sized furred colored haired bearded dressed lovely hooded sleeveless knit wool denim
    fuzzy shiny loose same other brightly golden toy tennis soccer dirt golf hockey
    """)

_MALE = "man boy guy gentleman groom father son brother cowboy fisherman policeman fireman"
_FEMALE = "woman girl lady bride mother daughter sister ballerina cheerleader"
_YOUNG = "child kid baby toddler infant teenager teen youth youngster"
_ROLES = """
    person adult player skier surfer snowboarder skateboarder biker bicyclist cyclist rider motorcyclist climber
    hiker runner racer swimmer wrestler dancer boxer gymnast skater driver goalie referee quarterback musician
    guitarist singer performer artist worker soldier officer clown spectator fan student tourist shopper
    pedestrian kayaker waterskier wakeboarder diver friend owner photographer batter pitcher catcher teammate
    opponent athlete rollerblader jogger bystander onlooker windsurfer family couple crowd group team audience
    band class someone somebody everyone people participant contestant competitor individual human male female
    passenger rower sledder sprinter golfer cowgirl trainer coach drummer protester model actor customer waiter
    chef vendor parent
"""
_ANIMALS = "dog puppy cat kitten horse bird duck cow sheep goat bull monkey elephant pigeon seagull fish swan camel"
_BREEDS = """
    greyhound poodle terrier retriever labrador shepherd collie dachshund bulldog rottweiler husky hound pug
    beagle dalmatian chihuahua corgi lab mutt
"""
_CLOTHES = """
    shirt jacket dress coat hat sweater uniform vest skirt cap helmet jersey outfit wetsuit swimsuit hoodie
    sweatshirt bikini suit robe costume apron leotard scarf t-shirt tank-top headband bandanna life-jacket
    snowsuit collar hair
"""
_THINGS = """
    ball stick toy frisbee bone rope bottle cup book newspaper guitar umbrella camera phone bag basket balloon
    bat racket flag fishing-pole microphone cigarette drum violin flower sword gun paddle shovel hammer trophy
    kite hoop snowball bike motorcycle horse skateboard surfboard snowboard sled scooter car truck bus boat
    canoe kayak raft train tractor wagon unicycle bicycle motorbike swing slide trampoline atv jeep helicopter
    plane tent sign pizza cake sandwich bench chair couch bed table wheelchair stroller hurdle log stump fence bar
    tire tunnel ladder rock wall tree cliff mountain rail railing ramp step stair curb dock stool ledge blanket
    carpet wave cone pole hydrant fountain football baseball basketball volleyball leash glove shoe purse
    backpack hose bucket candle instrument accordion piano saxophone trumpet stuffed-animal teddy-bear lollipop
    popsicle ice-cream apple banana corn hamburger food snack object something item animal computer laptop
    puppet doll disc skis ski parachute weight barbell broom sprinkler sheep tricycle carriage cart
"""
_PLACES = """
    snow beach grass field street road sidewalk pool ocean sea lake river water park forest woods mountain
    desert restaurant stage kitchen sand playground pond stream creek lawn yard backyard dirt mud path trail
    track city court hill cliff rock ice puddle wood gym subway store market stadium church garden dock bed
    couch
"""

IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "people", "policemen": "policeman",
    "fishermen": "fisherman", "firemen": "fireman", "gentlemen": "gentleman", "skis": "ski", "woods": "woods",
}  # fmt: skip

MALE, FEMALE = words(_MALE), words(_FEMALE)
PEOPLE = MALE | FEMALE | words(_YOUNG) | words(_ROLES)
ANIMALS = words(f"{_ANIMALS} {_BREEDS}")
CLOTHES = words(_CLOTHES)
THINGS = words(_THINGS)
PLACES = words(_PLACES)
AGENTS = PEOPLE | ANIMALS
# One word for several people: never one person, and never a known number of them.
GROUPS = words("family couple crowd group team audience band class people everyone")
# What stands for a thing that the caption doesn't name. It contradicts no name.
VAGUE = words("something object item toy animal instrument food snack person")

SAME = {
    **{word: "dog" for word in ("puppy", *_BREEDS.split())},
    **{"bicycle": "bike", "motorbike": "motorcycle", "kitten": "cat", "sea": "ocean", "road": "street"},
    **{"wood": "forest", "woods": "forest", "disc": "frisbee", "guy": "man", "lady": "woman", "kid": "child"},
    **{"infant": "baby", "seagull": "bird", "pigeon": "bird", "creek": "stream", "t-shirt": "shirt", "lawn": "grass"},
    **{"football": "ball", "basketball": "ball", "baseball": "ball", "volleyball": "ball"},
    **{"male": "man", "female": "woman", "teen": "teenager", "backyard": "yard", "skis": "ski"},
}  # fmt: skip

# A verb's forms that people put after a subject who does it now.
VERBS = {
    form: verb
    for verb, forms in {
        "hold": "hold holds holding clutching clutches",
        "carry": "carry carries carrying",
        "throw": "throw throws throwing",
        "kick": "kick kicks kicking",
        "catch": "catch catches catching",
        "chase": "chase chases chasing",
        "ride": "ride rides riding",
        "eat": "eat eats eating",
        "read": "read reads reading",
        "push": "push pushes pushing",
        "pull": "pull pulls pulling",
        "climb": "climb climbs climbing",
        "run": "run runs running races racing sprints sprinting",
        "jump": "jump jumps jumping leap leaps leaping",
        "sit": "sit sits sitting seated",
        "stand": "stand stands standing",
        "walk": "walk walks walking",
        "swim": "swim swims swimming",
        "sleep": "sleep sleeps sleeping asleep",
        "lie": "lie lies lying lay lays laying",
        "dance": "dance dances dancing",
    }.items()
    for form in forms.split()
}
GERUNDS = {
    "hold": "holding", "carry": "carrying", "throw": "throwing", "kick": "kicking", "catch": "catching",
    "chase": "chasing", "ride": "riding", "eat": "eating", "read": "reading", "push": "pushing",
    "climb": "climbing", "run": "running", "jump": "jumping", "sit": "sitting", "swim": "swimming",
    "sleep": "sleeping", "walk": "walking", "lie": "lying down",
}  # fmt: skip

# Who does one of these does not do the other; and words by which the action may be there though no verb says so.
NOT_WHILE = {
    "run": "sit swim sleep lie stand climb walk",
    "jump": "sit sleep lie stand walk",
    "sit": "run jump walk swim climb stand dance",
    "swim": "run jump walk sit stand climb sleep ride",
    "walk": "sit jump swim sleep lie climb ride run",
    "sleep": "run jump walk swim stand climb ride eat",
    "climb": "sit run swim sleep lie",
    "eat": "run jump swim sleep ride climb",
}
MAY_BE = {
    "run": "race chase chases chasing jog jogging play plays playing fetch gallop trot game follow follows racing",
    "jump": "air midair mid-air flip trick fly flies flying bounce bounces bouncing hop dives diving airborne leap",
    "sit": "seat bench chair couch ride rides riding rest rests resting lap perched swing boat car kneeling crouching",
    "swim": "water pool float floats floating paddle paddles lake river ocean wade wading",
    "walk": "stroll strolls strolling hike hiking cross crosses crossing march run runs running going wander wading",
    "sleep": "rest rests resting nap napping eyes closed relaxing lie lies lying laying lays bed",
    "climb": "climber rope scale scales scaling cliff rock hanging hangs rappelling",
    "eat": "food mouth bite bites biting chew chews chewing licks lick drink drinks drinking meal picnic lunch dinner",
}

# The word of "is there a ...?", and what else in a caption may be it, hold it or hide it.
_WHEELED = (
    "bike bicycle biker bicyclist cyclist motorcycle motorbike motorcyclist cycling biking bmx wheelie rider motocross"
)
_WET = """
    water ocean sea lake river pool pond stream creek wave surf surfer surfing surfboard swim swimming swimmer
    swims boat canoe kayak raft beach shore wet splash splashing fountain puddle waterfall dock pier wading
    fishing sprinkler hose kayaker rapids waterskier wakeboarder water-skiing wakeboarding windsurfer ship bath
    tub dive diving scuba mud underwater coast bay rowing floating island bridge tide tidal parasailing
    waterskiing sail sailing sailboat
"""
_COLD = """
    snow snowy ski skier skiing skis snowboard snowboarder snowboarding sled sledding ice icy winter snowball
    frozen frost snowsuit slope sledder
"""
_BALLS = """
    ball football soccer basketball baseball volleyball softball tennis rugby cricket game player sport goal
    goalie team toy golf pitcher batter kick kicks kicking catch catches throw throws throwing fetch object
    something bowling polo hockey play plays playing lacrosse juggling dodgeball racket bat referee
"""
IS_THERE = {
    "dog": f"animal pet {_BREEDS}",
    "cat": "kitten animal pet",
    "horse": "horseback pony animal rider rodeo cowboy bull jockey polo carriage equestrian mule donkey",
    "bird": "animal pigeon seagull duck swan flock geese goose parrot eagle hawk chicken",
    "ball": _BALLS,
    "bike": _WHEELED + " vehicle atv wheel wheels",
    "motorcycle": _WHEELED + " vehicle atv scooter race racing",
    "skateboard": "skateboarder skateboarding skater skating skate board ramp trick scooter",
    "surfboard": "surf surfer surfing board wave boogie bodyboard windsurfer wakeboard",
    "snowboard": f"board snowboarder snowboarding {_COLD}",
    "frisbee": "disc object something toy catch catches throw",
    "guitar": "guitarist instrument band music musician playing bass stage",
    "boat": f"ship sailboat canoe kayak raft {_WET}",
    "kayak": f"canoe boat raft kayaker kayaking paddle rapids {_WET}",
    "car": "vehicle truck street road traffic racing race jeep van driver parking city driving cars taxi",
    "bench": "seat sit sits sitting park bus seated",
    "umbrella": "parasol beach rain shade",
    "snow": f"mountain white {_COLD}",
    "beach": f"sand sandy shore {_WET}",
    "pool": f"{_WET} slide",
    "helmet": f"{_WHEELED} football hockey player baseball race racing gear climber cap hat {_COLD}",
    "tent": "camp camping canopy campsite shelter market booth",
    "swing": "playground swinging swings rope park",
    "slide": "playground slides sliding park inflatable bounce",
    "stick": "branch wood object something toy pole bat hockey log twig mouth club",
    "man": "", "woman": "", "boy": "", "girl": "", "child": "", "person": "", "baby": "",
}  # fmt: skip
MASS = frozenset({"snow"})

SPORTS = {
    "soccer": "soccer",
    "tennis": "tennis",
    "basketball": "basketball",
    "baseball": "baseball",
    "softball": "softball",
    "hockey": "hockey",
    "volleyball": "volleyball",
    "rugby": "rugby",
    "football": "football quarterback",
    "skateboarding": "skateboarding skateboarder skateboards",
    "surfing": "surfing surfer surfs",
    "snowboarding": "snowboarding snowboarder snowboards",
    "skiing": "skiing skier skis",
    "wrestling": "wrestling wrestler",
    "kayaking": "kayaking kayaker",
}
SPORT_OF = {form: sport for sport, forms in SPORTS.items() for form in forms.split()}
# A sport's name before these is a thing's: one may hold a soccer ball and wear a baseball cap without playing.
SPORT_THINGS = words("ball balls hat hats cap caps jersey jerseys shirt uniform uniforms glove gloves bat")
