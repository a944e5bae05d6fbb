"""Which emoji stand for which category, and the restaurants that serve them."""

from __future__ import annotations

from typing import Final

# What a person would answer when asked for one of the five; things between two categories are left out.
CONCEPTS: Final[dict[str, tuple[str, ...]]] = {
    "meal": (
        "hotdog", "taco", "burrito", "hamburger", "pizza", "meat_on_bone", "poultry_leg", "fries", "stew",
        "fried_egg", "bacon", "shallow_pan_of_food", "stuffed_flatbread", "bowl_with_spoon", "cut_of_meat",
        "sandwich", "falafel", "fondue", "tamale", "rice_ball", "rice", "curry", "ramen", "spaghetti", "oden",
        "sushi", "fried_shrimp", "bento", "dumpling", "fish_cake",
    ),
    "sweets": (
        "icecream", "shaved_ice", "ice_cream", "doughnut", "cookie", "chocolate_bar", "candy", "lollipop", "custard",
        "cake", "birthday", "pie", "cupcake", "dango", "moon_cake", "pancakes", "waffle",
    ),
    "drink": (
        "tea", "sake", "wine_glass", "cocktail", "tropical_drink", "beer", "beers", "champagne", "clinking_glasses",
        "tumbler_glass", "glass_of_milk", "cup_with_straw", "beverage_box", "mate_drink", "bubble_tea", "teapot",
        "coffee",
    ),
    "fruit": (
        "grapes", "melon", "watermelon", "tangerine", "lemon", "lime", "banana", "pineapple", "apple", "green_apple",
        "pear", "peach", "cherries", "strawberry", "kiwifruit", "coconut", "mango", "blueberries",
    ),
    "vegetable": (
        "hot_pepper", "corn", "brown_mushroom", "eggplant", "cucumber", "potato", "carrot", "broccoli", "leafy_green",
        "garlic", "onion", "bell_pepper", "ginger_root", "pea_pod", "sweet_potato", "tomato", "green_salad",
        "root_vegetable",
    ),
    "not-for-training": (
        "fork_and_knife", "knife_fork_plate", "chopsticks", "spoon", "bouquet", "tulip", "potted_plant", "house",
        "hotel", "convenience_store", "japanese_castle", "chair", "door", "izakaya_lantern", "receipt", "credit_card",
        "book", "page_facing_up", "newspaper", "dog", "cat", "bike", "car", "camera", "iphone", "gift",
        "bellhop_bell", "candle",
    ),
}  # fmt: skip

# Parts of a set of pictures, in percent.
SHARES: Final[dict[str, int]] = {
    "meal": 24, "sweets": 18, "drink": 17, "fruit": 15, "vegetable": 15, "not-for-training": 11,
}  # fmt: skip

RESTAURANTS: Final[tuple[str, ...]] = (
    "aoi-diner", "bistro-marron", "cafe-komorebi", "cantina-sol", "daikichi", "east-garden", "fuji-kitchen",
    "green-fork", "harbor-grill", "izakaya-tsuki", "kissa-lune", "la-tavola", "machi-bakery", "noodle-lab", "oasis-bar",
    "parlor-hana", "red-lantern", "soup-stock-8", "trattoria-luca", "yuzu-house",
)  # fmt: skip
