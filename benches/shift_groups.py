"""Natural shifts of groups, from tables that packages ship, for `thalweg reproduce peers`: rows of speakers and of letters that f has not seen the like of.

    apt-get download r-cran-mlbench && dpkg -x r-cran-mlbench_*.deb mlbench/
    benches/shift_groups.py mlbench/ FOLDER | sh

Writes FOLDER/*.csv and prints the command. Vowel: P is the first eight speakers, the query the other seven (the split of its authors, Deterding 1989). Letters
(Frey and Slate 1991): P is the letters whose box is at most four wide, the queries are those of five and of six or more. Labels are numbers, since classes are counted by file. Of
the shifts only these are asked about, since Detectron trains for every query. Letters have 1,500 test rows: of the 750 held-out ones all that the bank's 400
networks say of 26 classes is kept; of more rows they would be asked again for every redraw. Wants `rdata`.
"""
import sys
from pathlib import Path

import rdata

RECIPE = '{{ learning-rate = 3e-3, batch = 32, length = {{ steps = {steps} }} }}'


def numbered(table, label):
    """Features, then the class as a number."""
    return table.drop(columns=[label]).assign(label=table[label].cat.codes)


def main(source, out):
    out.mkdir(parents=True, exist_ok=True)
    read = lambda name: rdata.read_rda(next(source.rglob(f"{name}.rda")))[name]

    vowel = read("Vowel")
    speaker = vowel["V1"].astype(int)
    vowel = numbered(vowel.drop(columns=["V1"]), "Class")
    vowel[speaker < 8].to_csv(out / "vowel.csv", index=False)
    vowel[speaker >= 8].to_csv(out / "other-speakers.csv", index=False)

    letters = read("LetterRecognition")
    width = letters["width"]
    letters = numbered(letters, "lettr")
    letters[width <= 4].sample(4000, random_state=0).to_csv(out / "letters.csv", index=False)
    letters[width == 5].to_csv(out / "wider-letters.csv", index=False)
    letters[width >= 6].to_csv(out / "widest-letters.csv", index=False)

    homes = {
        "vowel": (150, 200, 1500, ["other-speakers"]),
        "letters": (400, 1500, 4000, ["wider-letters", "widest-letters"]),
    }
    print("thalweg reproduce peers", "--set 'homes=[\"vowel\", \"letters\"]' --set changes=[] --set 'methods=[\"d3m\", \"detectron\"]'", end="")
    for name, (validation, test, steps, shifts) in homes.items():
        shifts = ", ".join(f'{{ kind = "data", data = "csv:{out / shift}.csv@label=label" }}' for shift in shifts)
        home = (
            f'{{ data = "csv:{out / name}.csv@label=label", architecture = "mlp", widths = [32, 32], validation = {validation}, '
            f"test = {test}, recipe = {RECIPE.format(steps=steps)}, shifts = [{shifts}] }}"
        )
        print(f" --set 'home.{name}={home}'", end="")
    print(f" --out {out / 'peers'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).resolve())
