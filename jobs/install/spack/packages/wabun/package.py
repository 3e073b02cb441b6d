# wabun's recipe for Spack.  From a checkout or an unpacked tarball:
#     spack repo add jobs/install/spack
#     spack dev-build --source-path . wabun@main
from spack.package import *


class Wabun(AutotoolsPackage):
    """Trains Japanese GPT-2 language models on clusters of ordinary processors, and uses them."""

    maintainers = []

    license("MIT")

    version("main", branch="main")

    variant("onednn", default=True, description="Multiply by oneDNN where there is AVX-512")
    variant("scalapack", default=True, description="Muon on matrices that ranks share")
    variant("serve", default=True, description="HTTP server, by libmicrohttpd")
    variant("uchardet", default=False, description="Names encodings of text")
    variant("sentencepiece", default=False, description="Tokenizers of SentencePiece")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("autoconf@2.71:", type="build")
    depends_on("automake@1.16:", type="build")
    depends_on("libtool", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("gawk", type="build")

    depends_on("mpi@3:")
    depends_on("openblas threads=openmp")
    depends_on("libconfig")
    depends_on("jansson")
    depends_on("xxhash")
    depends_on("libarchive")
    depends_on("zlib-api")
    depends_on("zstd")
    depends_on("libxml2")
    depends_on("utf8proc")
    depends_on("onednn cpu_runtime=omp", when="+onednn")
    depends_on("netlib-scalapack", when="+scalapack")
    depends_on("libmicrohttpd", when="+serve")
    depends_on("uchardet", when="+uchardet")
    depends_on("sentencepiece", when="+sentencepiece")

    def autoreconf(self, spec, prefix):
        Executable("./autogen.sh")()

    def configure_args(self):
        spec = self.spec
        args = ["CC=" + spec["mpi"].mpicc, "--with-openblas=" + spec["openblas"].libs.ld_flags]
        args.append("--with-utf8proc=" + spec["utf8proc"].libs.ld_flags)
        args.append("--with-onednn=-ldnnl" if "+onednn" in spec else "--without-onednn")
        if "+scalapack" in spec:
            args.append("--with-scalapack=" + spec["scalapack"].libs.ld_flags)
        else:
            args.append("--without-scalapack")
        args += self.with_or_without("microhttpd", variant="serve")
        args += self.with_or_without("uchardet")
        args += self.with_or_without("sentencepiece")
        return args
