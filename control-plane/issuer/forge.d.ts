import type {} from "node-forge";

// Exported by node-forge, absent from its types.
declare module "node-forge" {
  namespace pki {
    function getTBSCertificate(certificate: Certificate): asn1.Asn1;
  }
  namespace asn1 {
    function fromDer(bytes: string, options: { readonly decodeBitStrings: boolean }): Asn1;
  }
}
